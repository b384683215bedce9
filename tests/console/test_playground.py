"""The playground chats with a real front-end: tokens come one by one, and Stop stops them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from actors.engines.echo import EchoEngine
from tests.console.conftest import Open
from tests.console.test_pages import settled
from tests.console.world import World
from tests.support.waiting import eventually

MARKUP = (
    "# <b onclick=x>**bold**</b>\n\n- <img src=x onerror=alert(1)>\n- `code`\n\n```\n<script>\n```"
)


@pytest.fixture(scope="module")
def chats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A front-end with a model that answers at once, one that never ends, and an echo."""
    with World(tmp_path_factory.mktemp("chats")) as running:
        running.announce("quick", ["a"], tokens=12, interval=0.01)
        running.announce("endless", ["b"], tokens=100_000, interval=0.02)
        running.service.http.model_manager().add_chat_completions_model("echo", EchoEngine())
        yield running


def pane_of(page: Page, number: int = 1) -> Locator:
    return page.get_by_role("region", name=f"Pane {number}")


def ask(page: Page, text: str) -> None:
    page.get_by_label("Question").fill(text)
    page.keyboard.press("Enter")


def test_an_answer_streams_and_is_measured(chats: World, open_page: Open) -> None:
    page = settled(open_page(f"{chats.console}/#/playground/quick"))
    ask(page, "hello")
    pane = pane_of(page)
    expect(pane).to_contain_text("done: stop")
    expect(pane.locator(".answer")).to_have_text("tick " * 12)
    expect(pane.locator(".figure").nth(2)).to_contain_text("12")
    expect(pane.locator(".figure b").nth(0)).to_have_text(re.compile(r"^[\d.]+$"))
    expect(pane.get_by_role("img", name="arrival of 12 tokens")).to_be_visible()
    expect(page.locator("section", has_text="Raw events").locator("pre").last).to_contain_text(
        "[DONE]"
    )
    pane.get_by_role("button", name="Again").click()
    expect(pane).to_contain_text("done: stop")
    expect(pane.locator(".said")).to_have_count(1)


def test_stop_ends_it_there_and_at_the_model(chats: World, open_page: Open) -> None:
    page = settled(open_page(f"{chats.console}/#/playground/endless"))
    ask(page, "go on")
    pane = pane_of(page)
    expect(pane).to_contain_text("writing")
    pane.get_by_role("button", name="Stop").click()
    expect(pane).to_contain_text("stopped")
    expect(pane.get_by_role("button", name="Again")).to_be_visible()

    def inflight() -> int:
        (pool,) = chats.service.http.context.state.find_pools("endless")
        return sum(each.inflight for each in pool.view().instances)

    eventually(lambda: inflight() == 0, 20, "the model was left")


def test_three_models_answer_side_by_side_and_a_refusal_is_a_sentence(
    chats: World, browser_page: Page
) -> None:
    page = browser_page
    page.goto(f"{chats.console}/#/playground/quick")
    page.get_by_role("button", name="+ model").click()
    page.get_by_role("button", name="+ model").click()
    expect(page.get_by_role("button", name="+ model")).to_be_disabled()
    page.get_by_label("Model of pane 2").select_option("echo")
    page.get_by_label("Model of pane 3").select_option("quick")
    page.get_by_label("max_tokens").fill("0.5")
    ask(page, "to all")
    expect(pane_of(page).get_by_role("alert")).to_contain_text("max_tokens")
    page.get_by_label("max_tokens").fill("")
    ask(page, "to all")
    for number in (1, 2, 3):
        expect(pane_of(page, number)).to_contain_text("done: stop")


def test_what_a_model_says_is_text_whatever_it_says(chats: World, open_page: Open) -> None:
    page = settled(open_page(f"{chats.console}/#/playground/echo"))
    page.get_by_label("stream").uncheck()
    page.get_by_label("Question").fill(MARKUP)
    page.get_by_role("button", name="Send").click()
    answer = page.locator(".answer")
    expect(answer).to_contain_text("<img src=x onerror=alert(1)>")
    expect(answer.locator("li")).to_have_count(2)
    expect(answer.locator("pre")).to_have_text("<script>")
    assert (
        page.evaluate("document.querySelectorAll('.answer img, .answer b, .answer script').length")
        == 0
    )


def test_what_was_asked_is_kept_in_this_browser_and_forgotten_on_demand(
    chats: World, open_page: Open
) -> None:
    page = settled(open_page(f"{chats.console}/#/playground/quick"))
    ask(page, "remember me")
    expect(pane_of(page)).to_contain_text("done")
    page.reload()
    asked = page.locator("section", has_text="Asked before")
    asked.get_by_text("remember me").click()
    expect(page.get_by_label("Question")).to_have_value("remember me")
    asked.get_by_role("button", name="Forget…").click()
    page.get_by_role("dialog").get_by_role("button", name="Forget", exact=True).click()
    expect(asked).to_have_count(0)


@pytest.mark.parametrize("language", ["curl", "Python", "JS"])
def test_the_request_is_shown_as_code(chats: World, open_page: Open, language: str) -> None:
    page = settled(open_page(f"{chats.console}/#/playground/quick"))
    page.get_by_label("Question").fill('it\'s "quoted"')
    page.get_by_role("button", name=language, exact=True).click()
    code = page.locator("section", has_text="As code").locator("pre")
    expect(code).to_contain_text("quoted")
    expect(code).to_contain_text(chats.console)
