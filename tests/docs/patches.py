"""Reads the patches of a page and applies them to a copy of the product."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.docs.blocks import ROOT, blocks

__all__ = ["Hunk", "Patch", "copy_of_the_product", "patches"]

PARTS = ("actors", "discovery", "http", "pyproject.toml")


@dataclass(frozen=True)
class Hunk:
    """A change of one place: the lines that stand there, and those that shall."""

    file: str
    before: str
    after: str

    def apply(self, tree: Path) -> None:
        """Change the one place of ``tree`` that it names."""
        path = tree / self.file
        if not self.before:
            path.write_text(self.after)
            return
        text = path.read_text()
        assert text.count(self.before) == 1, f"{self.file} has not one place with\n{self.before}"
        path.write_text(text.replace(self.before, self.after))


@dataclass(frozen=True)
class Patch:
    """One recipe: ``added`` are its lines that are new."""

    hunks: tuple[Hunk, ...]
    added: int

    @property
    def files(self) -> set[str]:
        """The files that it changes or adds."""
        return {hunk.file for hunk in self.hunks}


def copy_of_the_product(to: Path) -> Path:
    """What is needed to check its types and to run it, in the folder ``to``."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, to / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, to / part)
    return to


def patches(page: Path) -> list[Patch]:
    """The ``diff`` blocks of ``page``, in order."""
    return [_patch(block.text) for block in blocks(page) if block.language == "diff"]


def _patch(text: str) -> Patch:
    hunks: list[Hunk] = []
    file, added = "", 0
    for part in text.split("\n@@ "):
        lines = part.splitlines()
        body = lines[1:] if hunks or file else []
        following = next((line for line in lines if line.startswith("+++ ")), None)
        body = [line for line in body if not line.startswith("+++ ")]
        if body:
            before = [line[1:] for line in body if line[0] in " -"]
            after = [line[1:] for line in body if line[0] in " +"]
            added += sum(line[0] == "+" for line in body)
            hunks.append(Hunk(file, "\n".join(before), "\n".join(after)))
        file = following.removeprefix("+++ ") if following else file
    return Patch(tuple(hunks), added)
