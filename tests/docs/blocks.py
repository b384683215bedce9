"""Reads a Markdown page: its fenced blocks, its links, and the commands of a shell block."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "ROOT", "Block", "blocks", "commands", "links"]

ROOT = Path(__file__).parents[2]
ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
PAGES = sorted([*(ROOT / name for name in ROOT_PAGES), *(ROOT / "docs").rglob("*.md")])


@dataclass(frozen=True)
class Block:
    """One fenced block: its language and its text."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block, each split into words; comments are left out."""
    found: list[list[str]] = []
    pending = ""
    for line in text.replace("\\\n", " ").splitlines(keepends=True):
        pending += line
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quote is still open: the command goes on in the next line
            continue
        if words:
            found.append(words)
        pending = ""
    if pending:
        raise ValueError(f"a quote is never closed in {pending!r}")
    return found


def links(page: Path) -> list[str]:
    """The relative targets of a page's links and pictures."""
    found = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    return [each for each in found if "://" not in each]
