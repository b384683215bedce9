"""What the page shows of what happens: figures, requests with their waterfall, events, models."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import Open
from tests.console.test_pages import settled
from tests.console.world import Load, World
from tests.support.chat import chat
from tests.support.waiting import free_port

NUMBER = re.compile(r"^[\d.\u202fk]+$")


@pytest.fixture(scope="module")
def live_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A front-end with one model, one of whose instances can't be reached."""
    with World(tmp_path_factory.mktemp("live")) as running:
        running.announce("llama-3", ["gpu-1"], max_concurrency=16)
        yield running


def test_the_overview_is_drawn_from_real_requests(live_world: World, open_page: Open) -> None:
    page = settled(open_page(live_world.console))
    with Load(live_world.url, ["llama-3"]):
        for name in ("Requests", "Answered", "First token", "Tokens", "In flight", "Loop lag"):
            figure = page.locator(".figure", has=page.locator(".name", has_text=name))
            expect(figure.locator("b")).to_have_text(NUMBER)
        legend = page.locator(".key-colour", has_text="llama-3")
        expect(legend).to_be_visible()
        page.locator(".chart").hover()
        expect(legend.locator("b")).to_have_text(NUMBER)


def test_a_request_is_listed_filtered_and_opened(live_world: World, open_page: Open) -> None:
    page = settled(open_page(f"{live_world.console}/#/requests"))
    expect(page.get_by_text("live: ")).to_be_visible()
    chat(live_world.url, "no-such-model")
    rows = page.locator("tbody [data-row]")
    page.get_by_label("Filter the requests").fill("status:404")
    expect(rows).to_have_count(1)
    page.get_by_label("Filter the requests").fill("model:llama-3 status:2xx tokens:12")
    before = rows.first.inner_text() if rows.count() else "none"
    with Load(live_world.url, ["llama-3"], threads=1):
        expect(rows.first).not_to_have_text(before)
        page.get_by_role("button", name="Pause").click()
        rows.first.click()
    expect(page.locator(".lanes")).to_contain_text("attempt 1 · gpu-1")
    expect(page.get_by_text("Callboard itself:")).to_be_visible()
    expect(page.get_by_role("img", name="arrival of")).to_be_visible()
    expect(page.locator("tr.chosen")).to_have_count(1)


def test_an_instance_that_fails_is_shown_with_what_happened(
    live_world: World, open_page: Open
) -> None:
    page = settled(open_page(f"{live_world.console}/#/models/llama-3"))
    live_world.entry("llama-3", "gpu-7", f"http://127.0.0.1:{free_port()}/v1", max_concurrency=4)
    mine = page.locator("tbody tr", has_text="gpu-7")
    expect(mine).to_be_visible()
    with Load(live_world.url, ["llama-3"]) as load:
        expect(mine.locator(".pill")).to_have_text("ejected")
    mine.get_by_role("link", name="gpu-7").click()
    expect(page.locator(".happened")).to_contain_text("ejected for")
    assert load.failures == []


def test_a_model_that_comes_is_shown_at_once(live_world: World, open_page: Open) -> None:
    page = settled(open_page(f"{live_world.console}/#/models"))
    live_world.announce("newcomer", ["a"])
    expect(page.locator(".list a", has_text="newcomer")).to_be_visible()


def test_where_all_places_of_the_stream_are_taken_the_page_asks_again_and_again(
    live_world: World, browser_page: Page
) -> None:
    page = browser_page
    page.route("**/admin/v1/stream*", lambda route: route.fulfill(status=429))
    page.goto(f"{live_world.console}/#/tree")
    settled(page)
    epoch = page.locator("tr[data-path=registry] td b")
    before = int(epoch.inner_text())
    live_world.kill()
    expect(epoch).to_have_text(str(before + 1))
    expect(page.locator("tr[data-path=registry] .lives line")).not_to_have_count(0)


def test_a_service_that_ends_is_said_to_be_gone(tmp_path: Path, browser_page: Page) -> None:
    with World(tmp_path) as world:
        browser_page.goto(world.console)
        settled(browser_page)
    expect(browser_page.get_by_role("alert")).to_contain_text("does not answer")
    expect(browser_page.locator(".health")).to_contain_text("no answer")
