"""What an operator does from the page: drain, weigh, kill; and that no request suffers by it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from actors.engines.echo import EchoEngine
from tests.console.conftest import Open
from tests.console.test_pages import settled
from tests.console.world import Load, World
from tests.support.waiting import eventually

MODEL = "llama-3"
KEY = "the-key-of-an-operator"
BACK = {"Drain…": "Undrain…", "Eject…": "Readmit…"}
"""What takes an instance out, and what its button says then."""

VIEWER = "the-key-of-a-client"


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    """A front-end of this test's own: what is set in it stays."""
    with World(tmp_path) as running:
        running.announce(MODEL, ["gpu-1", "gpu-2"], max_concurrency=16)
        yield running


def row(page: Page, instance: str) -> Locator:
    return page.locator("tbody tr", has_text=instance)


def press(page: Page, instance: str, button: str, answer: str) -> None:
    """Press an instance's button, and answer the question that follows."""
    row(page, instance).get_by_role("button", name=button).click()
    page.get_by_role("dialog").get_by_role("button", name=answer, exact=True).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_an_instance_is_drained_weighed_and_ejected_from_the_page_and_back(
    own_world: World, open_page: Open
) -> None:
    page = settled(open_page(f"{own_world.console}/#/models/{MODEL}"))
    press(page, "gpu-1", "Drain", "Drain here")
    expect(row(page, "gpu-1").locator(".pill")).to_have_text("draining")
    assert own_world.instances(MODEL)["gpu-1"] == "draining"
    press(page, "gpu-1", "Undrain", "Undrain here")
    expect(row(page, "gpu-1").locator(".pill")).not_to_have_text("draining")

    press(page, "gpu-2", "Eject", "Eject")
    expect(row(page, "gpu-2").locator(".pill")).to_have_text("ejected")
    press(page, "gpu-2", "Readmit", "Readmit")
    expect(row(page, "gpu-2").locator(".pill")).not_to_have_text("ejected")

    row(page, "gpu-2").get_by_role("button", name="Weight").click()
    page.get_by_label("Weight", exact=True).fill("0.5")
    page.get_by_role("button", name="Set here").click()
    expect(row(page, "gpu-2")).to_contain_text("by hand: weight 0.5")
    page.goto(f"{own_world.console}/#/tree")
    expect(page.locator("td", has_text=f"chat/{MODEL}/gpu-2").first).to_be_visible()


def test_a_drain_everywhere_is_written_to_the_source_where_it_can_be(
    own_world: World, tmp_path: Path, browser_page: Page
) -> None:
    own_world.service.http.model_manager().add_chat_completions_model("echo", EchoEngine())
    page = browser_page
    page.goto(f"{own_world.console}/#/models/{MODEL}")
    press(page, "gpu-2", "Drain", "Drain everywhere")
    expect(row(page, "gpu-2").locator(".pill")).to_have_text("draining")
    expect(row(page, "gpu-2").get_by_role("button", name="Undrain")).to_be_visible()
    assert any('"draining"' in path.read_text() for path in tmp_path.iterdir())

    page.goto(f"{own_world.console}/#/models/echo")
    press(page, "#static", "Drain", "Drain everywhere")
    expect(page.get_by_role("status").locator(".red")).to_have_count(1)


def test_the_registry_is_killed_once_its_path_is_typed(own_world: World, open_page: Open) -> None:
    page = settled(open_page(f"{own_world.console}/#/tree/registry"))
    page.get_by_role("button", name="Kill…").click()
    kill = page.get_by_role("dialog").get_by_role("button", name="Kill registry")
    expect(kill).to_be_disabled()
    page.get_by_label("Type registry to go on").fill("registry")
    kill.click()
    expect(page.locator("tr[data-path=registry] td b")).to_have_text("2")
    assert own_world.service.tree.address("registry").epoch == 2


@pytest.fixture
def locked_world(tmp_path: Path) -> Iterator[World]:
    """A front-end with keys of operators and of clients."""
    (tmp_path / "operators").write_text(f"{KEY}\n")
    (tmp_path / "clients").write_text(f"{VIEWER}\n")
    announced = tmp_path / "announced"
    announced.mkdir()
    with World(announced, operator_key_file=str(tmp_path / "operators")) as running:
        yield running


def test_the_page_asks_for_a_key_and_keeps_it_in_its_tab(
    locked_world: World, browser_page: Page
) -> None:
    page = browser_page
    page.goto(locked_world.console)
    for key in ("a-wrong-key-of-course", KEY):
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("button", name="Open")).to_have_count(0 if key == KEY else 1)
    settled(page)
    page.reload()
    settled(page)
    assert page.evaluate("Object.values(sessionStorage)") == [KEY]
    assert page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"


def test_every_button_is_pressed_under_load_and_no_request_fails(
    own_world: World, open_page: Open
) -> None:
    with Load(own_world.url, [MODEL]) as load:
        eventually(lambda: load.asked > 10, 20, "the load runs")
        for place in ("", "tree/registry", f"models/{MODEL}", "requests", f"playground/{MODEL}"):
            page = settled(open_page(f"{own_world.console}/#/{place}"))
            for at in range(page.locator("main button").count()):
                back = BACK.get(press_button(page, at))
                if back is not None:
                    expect(page.locator("main button").nth(at)).to_have_text(back)
                    press_button(page, at)
        seen = load.asked
        eventually(lambda: load.asked > seen + 10, 20, "the load still runs")
    assert load.failures == []


def press_button(page: Page, at: int) -> str:
    """Press the button number ``at``, take the first answer to what it asks; returns its words."""
    button = page.locator("main button").nth(at)
    words = button.inner_text()
    if not button.is_enabled():
        return words
    button.click()
    if not words.endswith(("…", "Stacks")):
        return words
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    typed = page.get_by_label("to go on")
    if typed.count():
        typed.fill("registry")
    dialog.locator("footer button").first.click()
    expect(dialog).to_have_count(0)
    return words


def test_the_log_level_is_set_and_the_service_is_drained_once_that_is_typed(
    own_world: World, browser_page: Page
) -> None:
    page = browser_page
    page.goto(f"{own_world.console}/#/tree")
    settled(page)
    before = logging.getLogger().level
    try:
        page.get_by_role("button", name="Log level…").click()
        page.get_by_role("dialog").get_by_role("button", name="error").click()
        expect(page.get_by_role("status")).to_contain_text("error")
        assert logging.getLogger().level == logging.ERROR
    finally:
        logging.getLogger().setLevel(before)
    page.get_by_role("button", name="Drain…").click()
    drain = page.get_by_role("dialog").get_by_role("button", name="Drain the service")
    expect(drain).to_be_disabled()
    page.get_by_label("Type drain to go on").fill("drain")
    drain.click()
    expect(page.locator(".health")).to_contain_text("not ready")
