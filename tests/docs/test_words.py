"""The private words of this project's past stay out of its code and docs (docs/glossary.md).

A ratchet: ``LEFT`` is what is left of them in each folder, and may only fall.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import ROOT

DENIED: Final = (
    "all the same",
    "anew",
    "as far as",
    "bur(?:y|ies|ied|ial)",
    "cradles?",
    "estates?",
    "for ever",
    "(?<!there )is no(?! longer| more| such)",
    "in vain",
    "just now",
    "kin",
    "letters?",
    "mend(?:s|ed|ing)?",
    "nobody",
    "somebody",
    "the seed",
    "(?:tells?|telling|told) (?:whether|if|of)",
    "who(?:m?)ever",
)
"""What is not written, each a regular expression over whole words; a space is also a line's end."""

ALLOWED: Final = (
    r"letters, digits",
    r"letters and digits",
    r"ASCII letters",
    r"capital letters",
    r"lower-case letters",
    r"dead[ -]letters?",  # Akka's
)
"""Where such a word says what it says anywhere else."""

LEFT: Final = {
    "actors": 0,
    "actors/engines": 84,
    "actors/eventloop": 0,
    "actors/registry": 0,
    "actors/supervision": 0,
    "actors/testing": 0,
    "discovery": 0,
    "docs": 0,
    "http": 0,
    ".": 0,
}
"""How many of them each folder still has. Lower a number when you clean; never raise one."""

ROOT_FILES: Final = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "Makefile")


def _pattern() -> re.Pattern[str]:
    gap = r"\\s+(?:#:?\\s+)?"
    words = [re.sub(r" (?=[a-z(])", gap, each) for each in DENIED]
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE)


_DENIED: Final = _pattern()
_ALLOWED: Final = re.compile("|".join(ALLOWED), re.IGNORECASE)


def _folder_of(path: Path) -> str:
    """The longest folder of the table that holds ``path``."""
    place = path.relative_to(ROOT).as_posix()
    return max((each for each in LEFT if place.startswith(f"{each}/")), key=len, default=".")


def _files() -> Iterator[Path]:
    for name in ROOT_FILES:
        if (ROOT / name).exists():
            yield ROOT / name
    for folder in ("actors", "discovery", "http"):
        yield from (ROOT / folder).rglob("*.py")
    yield from (ROOT / "docs").rglob("*.md")
    yield from (ROOT / "docs").rglob("*.py")


def found_in(text: str) -> list[tuple[int, str]]:
    """Line and text of each denied word."""
    plain = _ALLOWED.sub(lambda hit: "·" * len(hit.group()), text)
    hits = _DENIED.finditer(plain)
    return [(plain.count("\n", 0, hit.start()) + 1, " ".join(hit.group().split())) for hit in hits]


@pytest.fixture(scope="module")
def hits() -> dict[str, list[str]]:
    """What each folder of the table still has."""
    found: dict[str, list[str]] = {folder: [] for folder in LEFT}
    for path in _files():
        for line, word in found_in(path.read_text()):
            found[_folder_of(path)].append(f"{path.relative_to(ROOT)}:{line}: {word}")
    return found


@pytest.mark.parametrize("folder", LEFT)
def test_a_folder_has_no_more_private_words_than_before(
    folder: str, hits: dict[str, list[str]]
) -> None:
    found = hits[folder]
    assert len(found) <= LEFT[folder], "\n".join(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It is mended; nobody's fault.", ["mended", "nobody"]),
        ("waits for\n    # ever", ["for # ever"]),
        ("He is no supervisor. There is no other; it is no longer so.", ["is no"]),
        ("tells whether it holds, was told of it", ["tells whether", "told of"]),
        ("letters, digits and _; a letter", ["letter"]),
        ("recommend, skin, the seedling, killing, somebody_else", []),
    ],
)
def test_whole_words_are_found_and_nothing_else(text: str, words: list[str]) -> None:
    assert [word for _, word in found_in(text)] == words
