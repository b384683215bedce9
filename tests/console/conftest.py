"""Debian's Chromium for every test here, and a page that must have said nothing at its end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Final, Literal, TypeAlias

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console.world import World

__all__ = ["ARGUMENTS", "Open", "Theme"]

Theme: TypeAlias = Literal["dark", "light"]
Open: TypeAlias = Callable[..., Page]

ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
"""What a browser in a container needs, and nothing that reaches for the network by itself."""

PATIENCE: Final = 20_000
"""Milliseconds for what the page should show; it takes a tenth of a second on a quiet machine."""


expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a file; skips them where there is none.

    Not for longer: as long as it runs, playwright has an asyncio loop running in this thread, and
    no test of another file could run one of its own.
    """
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS])
        yield running
        running.close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A front-end with two models, one of which has two instances."""
    with World(tmp_path_factory.mktemp("announced")) as running:
        running.announce("llama-3", ["gpu-1", "gpu-2"], max_concurrency=16)
        running.announce("org/qwen", ["gpu-3"])
        yield running


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """Opens a URL in a context of its own; whatever a page wrote to the console fails the test."""
    said: list[str] = []
    opened: list[Page] = []

    def begin(url: str, theme: Theme = "dark", width: int = 1280, **context: object) -> Page:
        page = browser.new_context(
            color_scheme=theme,
            viewport={"width": width, "height": 900},
            **context,  # type: ignore[arg-type]
        ).new_page()
        opened.append(page)
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.goto(url)
        return page

    yield begin
    for each in opened:
        each.context.close()
    assert said == []


@pytest.fixture
def browser_page(browser: Browser) -> Iterator[Page]:
    """A page that may write to the console, as where a request is refused."""
    context = browser.new_context()
    yield context.new_page()
    context.close()
