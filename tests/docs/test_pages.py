"""Every command and snippet of README and docs is run; every link leads somewhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks, commands, links
from tests.docs.command_line import PAGE
from tests.docs.command_line import page as page_of_help
from tests.docs.stage import Stage

RUNNABLE = [page for page in PAGES if any(b.language in {"sh", "python"} for b in blocks(page))]
SHOWN_ONLY = {"text", "json"}
"""Languages of blocks that show output or a format."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_there_are_pages_to_test() -> None:
    assert ROOT / "README.md" in RUNNABLE
    assert len(RUNNABLE) >= 4


@pytest.mark.model
@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_every_command_and_snippet_of_a_page_works(page: Path) -> None:
    with Stage() as stage:
        for block in blocks(page):
            if block.language == "sh":
                for command in commands(block.text):
                    stage.run(command)
            elif block.language == "python":
                _run_snippet(stage.placed(block.text))
            else:
                assert block.language in SHOWN_ONLY, f"what is a {block.language!r} block?"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    missing = [link for link in links(page) if not (page.parent / link).exists()]
    assert missing == []


def test_the_four_shelves_hold_at_least_a_page_each() -> None:
    for shelf in ("start", "guides", "reference", "why"):
        assert list((ROOT / "docs" / shelf).glob("*.md")), shelf


def test_the_example_in_the_guide_is_the_file_that_runs() -> None:
    guide = ROOT / "docs" / "guides" / "engines.md"
    shown = [block.text for block in blocks(guide) if block.language == "python"]
    assert (ROOT / "docs" / "examples" / "shout.py").read_text() in shown


def _run_snippet(text: str) -> None:
    """Run a snippet as a script of its own: what it needs, it must say."""
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{text}\nfailed:\n{done.stderr}"


def test_the_command_line_page_says_what_help_says() -> None:
    assert PAGE.read_text() == page_of_help(), "run: python -m tests.docs.command_line"
