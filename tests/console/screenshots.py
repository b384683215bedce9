"""Takes the console's pictures: ``python -m tests.console.screenshots`` renews those of the docs.

With ``--into FOLDER`` it takes every page in both themes, to look at.

They show a real front-end under real requests: SmolLM2 in this process, and scripted model servers
found through a folder, one of which refuses connections. The registry is killed three times.
Printed is how long each page took to show something, and how soon the tree followed the last kill.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console.conftest import ARGUMENTS
from tests.console.world import Load, World
from tests.docs.blocks import ROOT
from tests.support.waiting import eventually, free_port

__all__ = ["PICTURES", "main"]

PICTURES: Final = ROOT / "docs" / "pictures"

SHOWN: Final = ("overview-dark", "overview-light", "tree-dark", "requests-dark", "playground-dark")
"""What the docs show; all of them would be two megabytes."""

MODEL: Final = "smollm2-135m-instruct"
LOADED: Final = ("llama-3-70b", "qwen3-32b", "mistral-small")
QUESTION: Final = "Why is the sky blue? Answer in three short points."
SIZE: Final = (1360, 880)
TALL: Final = (1360, 980)
PHONE: Final = (390, 844)


def main() -> int:
    """Take every picture in both themes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="take all of them, into this folder")
    parser.add_argument("--seconds", type=float, default=60.0, help="of load before the first one")
    arguments = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("no chromium here: apt-get install chromium", file=sys.stderr)
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="callboard-announced-") as folder,
        tempfile.TemporaryDirectory(prefix="callboard-pictures-") as pictures,
        shown_world(Path(folder)) as world,
        Load(world.url, LOADED, threads=6) as load,
        sync_playwright() as playwright,
    ):
        busy(world, arguments.seconds)
        browser = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS])
        for theme in ("dark", "light"):
            take(browser, world, theme, Path(pictures))
        browser.close()
        keep(Path(pictures), arguments.into)
    print(f"{load.asked} requests meanwhile, {len(load.failures)} failed")
    return 1 if load.failures else 0


def keep(pictures: Path, into: Path | None) -> None:
    """Copy every picture ``into`` a folder, or those that the docs show to them."""
    names = [f"console-{name}.png" for name in SHOWN]
    folder = into or PICTURES
    folder.mkdir(parents=True, exist_ok=True)
    for path in pictures.iterdir():
        if into is not None or path.name in names:
            shutil.copy(path, folder)


@contextmanager
def shown_world(folder: Path) -> Generator[World]:
    """A front-end with five models, one of them real, and one instance that can't be reached."""
    with World(folder, engine=(f"llama={MODEL}", "echo=echo")) as world:
        world.announce("llama-3-70b", ["gpu-1", "gpu-2", "gpu-3"], tokens=24, max_concurrency=16)
        world.announce("qwen3-32b", ["gpu-4", "gpu-5"], tokens=40, interval=0.02, max_concurrency=8)
        world.announce("mistral-small", ["gpu-6"], tokens=8, max_concurrency=4)
        world.entry(
            "llama-3-70b", "gpu-7", f"http://127.0.0.1:{free_port()}/v1", max_concurrency=16
        )
        yield world


def busy(world: World, seconds: float) -> None:
    """Let the load run, and kill the registry three times meanwhile."""
    pause = threading.Event()
    for _ in range(3):
        pause.wait(seconds / 4)
        world.kill()
    pause.wait(seconds / 4)


def take(browser: Browser, world: World, theme: str, into: Path) -> None:
    """Every page in one theme."""
    shots: dict[str, tuple[str, Callable[[Page], None]]] = {
        "overview": ("", lambda page: None),
        "tree": ("tree/registry", lambda page: follow_kill(page, world)),
        "models": ("models/llama-3-70b/chat/gpu-7", lambda page: None),
        "requests": ("requests", open_request),
        "playground": (f"playground/{MODEL}", chat_with_two),
    }
    for name, (place, prepare) in shots.items():
        size = TALL if name == "overview" else SIZE
        page = opened(browser, f"{world.console}/#/{place}", theme, size)
        prepare(page)
        page.screenshot(path=into / f"console-{name}-{theme}.png")
        page.context.close()
    page = opened(browser, world.console, theme, PHONE)
    page.screenshot(path=into / f"console-phone-{theme}.png")
    page.context.close()


def opened(browser: Browser, url: str, theme: str, size: tuple[int, int]) -> Page:
    viewport = {"width": size[0], "height": size[1]}
    context = browser.new_context(color_scheme=theme, viewport=viewport)  # type: ignore[arg-type]  # its own records
    page = context.new_page()
    page.goto(url)
    expect(page.locator(".health")).to_contain_text("ready", timeout=20_000)
    expect(page.locator("main section.panel").first).to_be_visible()
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    print(f"{url} {theme}: first paint after {paint:.0f} ms")
    page.wait_for_timeout(1500)
    return page


def follow_kill(page: Page, world: World) -> None:
    """Kill the registry, and print how soon the page shows its successor."""
    epoch = page.locator("tr[data-path=registry] td b")
    before = int(epoch.inner_text())
    begun = time.monotonic()
    world.kill()
    eventually(lambda: int(epoch.inner_text()) > before, 20, "the page shows it")
    print(f"the page shows the new registry {time.monotonic() - begun:.2f} s after it was killed")
    page.wait_for_timeout(1200)


def open_request(page: Page) -> None:
    """Choose a streamed request that was tried more than once, where there is one."""
    page.wait_for_timeout(2500)
    rows = page.locator("[data-row]")
    if rows.count():
        rows.nth(min(3, rows.count() - 1)).click()
        page.wait_for_timeout(800)


def chat_with_two(page: Page) -> None:
    """Ask a real model and a scripted one the same."""
    page.get_by_role("button", name="+ model").click()
    page.get_by_label("Model of pane 2").select_option(LOADED[1])
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_role("button", name="Send").click()
    expect(page.locator(".pane").first).to_contain_text("done", timeout=60_000)


if __name__ == "__main__":
    sys.exit(main())
