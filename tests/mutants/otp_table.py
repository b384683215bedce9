"""Reads the table of OTP's cases from ``tests/supervision/README.md``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["HELD", "OTHERWISE", "PAGE", "Row", "rows"]

PAGE: Final = Path(__file__).parents[1] / "supervision" / "README.md"
HELD: Final = "held"
OTHERWISE: Final = frozenset({"does not apply"})

_LINE: Final = re.compile(r"^\| `(?P<case>\w+)` \| (?P<status>[\w ]+) \| (?P<words>.+) \|$")
_TEST: Final = re.compile(r"`(test_\w+\.py::test_\w+)`")


@dataclass(frozen=True, slots=True)
class Row:
    """One of OTP's cases: its status here, and the tests that hold it or the reason."""

    case: str
    status: str
    words: str

    @property
    def tests(self) -> tuple[str, ...]:
        """The tests that the row names, as ``module.py::function``."""
        return tuple(_TEST.findall(self.words))


def rows() -> list[Row]:
    """Every row of every table of the page, in order."""
    found = (_LINE.match(line) for line in PAGE.read_text().splitlines())
    return [Row(each["case"], each["status"], each["words"]) for each in found if each]
