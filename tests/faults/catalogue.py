"""Every scenario, in the order of the catalogue's rows."""

from __future__ import annotations

from typing import Final

from tests.faults import mix
from tests.faults.rows import actors, clients, discovery, engines, models, processes
from tests.faults.scenario import Scenario

__all__ = ["LAST_ROW", "SCENARIOS", "chosen", "unknown"]

LAST_ROW: Final = 39

SCENARIOS: Final[tuple[Scenario, ...]] = tuple(
    sorted(
        (
            *actors.ROWS,
            *discovery.ROWS,
            *engines.ROWS,
            *clients.ROWS,
            *processes.ROWS,
            *models.ROWS,
            *mix.ROWS,
        ),
        key=lambda each: each.row,
    )
)


def chosen(only: str, *, black_box: bool = False, quick: bool = False) -> list[Scenario]:
    """The scenarios that ``only`` names, with commas: rows, families, parts of keys.

    ``=`` stands before a whole key.
    """
    words = _words(only)

    def wanted(each: Scenario) -> bool:
        if (black_box and not each.black_box) or (quick and not each.quick):
            return False
        return not words or any(_names(word, each) for word in words)

    return [each for each in SCENARIOS if wanted(each)]


def unknown(only: str) -> list[str]:
    """The words of ``only`` that name no scenario: a typo must not make a run shorter."""
    return [word for word in _words(only) if not any(_names(word, each) for each in SCENARIOS)]


def _words(only: str) -> list[str]:
    return [word.strip() for word in only.split(",") if word.strip()]


def _names(word: str, each: Scenario) -> bool:
    if word.startswith("="):
        return word[1:] == each.key
    if word.isdigit():
        return int(word) == each.row
    return word == each.family or word in each.key
