"""Each page in a real browser: both themes, odd names, the keyboard, and who can't see colours."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page, expect

from actors.engines.echo import EchoEngine
from http_service.server.actors import ServerFailed
from tests.console.conftest import Open, Theme
from tests.console.vendoring import AXE
from tests.console.world import World

ODD: Final = (
    "<img/src=x/onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "a\u202egnp.exe",
    "\u0646\u0645\u0648\u0630\u062c" * 40,
    "{{7*7}}${7*7}`%s'\"\\",
    "org/model:latest@sha256?x=1&y=%2F",
)
"""Names that a source may announce: markup, an override of direction, 200 characters of Arabic."""

PAGES: Final = ("", "tree/registry", "models/llama-3", "requests", "playground/llama-3")
THEMES: Final[tuple[Theme, ...]] = ("dark", "light")


def settled(page: Page) -> Page:
    """The page, once it shows the service."""
    expect(page.locator(".health")).to_contain_text("ready")
    return page


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("place", PAGES)
def test_a_page_shows_the_service_in_both_themes_and_says_nothing(
    world: World, open_page: Open, place: str, theme: Theme
) -> None:
    page = settled(open_page(f"{world.console}/#/{place}", theme))
    expect(page.locator("main section.panel").first).to_be_visible()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", ground)[:3])) < 128) is (theme == "dark")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def violations(page: Page) -> list[str]:
    """What axe finds that is serious, each with the first element at fault."""
    page.evaluate(gzip.decompress(AXE.read_bytes()).decode())
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{each['id']}: {each['nodes'][0]['html']} {each['nodes'][0]['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("place", PAGES)
def test_axe_finds_nothing_serious(world: World, open_page: Open, place: str, theme: Theme) -> None:
    page = settled(open_page(f"{world.console}/#/{place}", theme))
    expect(page.locator("main section.panel").first).to_be_visible()
    assert violations(page) == []


def test_the_overview_works_on_a_phone(world: World, open_page: Open) -> None:
    page = settled(open_page(world.console, width=390))
    expect(page.locator("section", has_text="llama-3").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_tree_follows_a_killed_registry(world: World, open_page: Open) -> None:
    page = settled(open_page(f"{world.console}/#/tree/registry"))
    mine = page.locator("tr[data-path=registry]")
    before = int(mine.locator("td b").inner_text())
    world.kill()
    expect(mine.locator("td b")).to_have_text(str(before + 1))
    expect(mine.locator(".lives line")).not_to_have_count(0)
    expect(mine.locator("td").last).to_contain_text("crash")


def test_a_crash_of_the_admin_listener_itself_is_survived(world: World, open_page: Open) -> None:
    page = settled(open_page(f"{world.console}/#/tree"))
    mine = page.locator("tr[data-path=admin]")
    before = int(mine.locator("td b").inner_text())
    world.service.tree.address("admin").tell(ServerFailed(OSError("accepting failed")))
    expect(mine.locator("td b")).to_have_text(str(before + 1))
    expect(page.locator(".banner")).to_have_count(0)


@pytest.fixture
def odd_world(tmp_path: Path) -> Iterator[World]:
    """A front-end with the odd names alone."""
    with World(tmp_path) as running:
        for name in ODD:
            running.service.http.model_manager().add_chat_completions_model(name, EchoEngine())
        yield running


def test_an_odd_name_is_shown_as_text(odd_world: World, open_page: Open) -> None:
    page = settled(open_page(f"{odd_world.console}/#/models"))
    listed = page.locator(".list a .mono")
    expect(listed).to_have_count(len(ODD))
    shown = {name.replace("\u202e", "\ufffd") for name in ODD}
    assert shown == {*listed.all_inner_texts()}
    for name in shown:
        page.locator(".list a", has_text=name).click()
        expect(page.locator("h2.mono", has_text=name)).to_have_count(2)
        expect(page.locator("td .pill")).to_have_count(1)
    assert page.evaluate("document.querySelectorAll('main img, main script').length") == 0


def test_the_keyboard_reaches_everything(world: World, open_page: Open) -> None:
    page = settled(open_page(world.console))
    page.keyboard.press("/")
    page.keyboard.type("regis")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("tr.chosen")).to_have_attribute("data-path", "registry")

    page.keyboard.press("g")
    page.keyboard.press("m")
    expect(page).to_have_url(f"{world.console}/#/models")
    links = page.locator(".list [data-row]")
    links.first.focus()
    page.keyboard.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(links.nth(1)).to_have_attribute("aria-current", "true")

    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_tab_visits_every_control_of_a_page(world: World, open_page: Open) -> None:
    page = settled(open_page(f"{world.console}/#/tree/registry"))
    expect(page.get_by_role("button", name="Kill…")).to_be_visible()
    controls = "a[href], button:not(:disabled), input, [tabindex='0']"
    count = page.locator(controls).count()
    seen: set[str] = set()
    for _ in range(count + 5):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
    for name in ("Restart…", "Kill…", "Stacks", "Pause", "Find", "Tree", "Light theme"):
        assert any(name in each for each in seen), name


def test_the_switch_turns_the_theme_and_is_remembered(world: World, open_page: Open) -> None:
    page = settled(open_page(world.console, "dark"))
    page.get_by_role("button", name="Light theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    expect(page.get_by_role("button", name="Dark theme")).to_be_visible()
