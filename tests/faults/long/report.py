"""What a show says: figures as they come, promises with their verdict, an exit code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

__all__ = ["Report", "Settings", "Unavailable"]


class Unavailable(Exception):
    """The show can't be run like this; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says: ``seconds`` is how long the fault, or the load, lasts."""

    seconds: float
    seed: int = 1
    requests: int = 100_000
    roots: tuple[Path, ...] = (Path(),)
    """Checkouts whose code is measured, one after the other; the promises are of the last."""
    only: str = ""
    """Which parts of a show, by their keys; empty for all."""
    file: Path | None = None
    """Where its table goes."""
    longest: float = 18.0
    """Seconds of the longest outage in ``chaos``."""
    sabotage: str = ""
    """How ``chaos`` breaks the watch loop, to show that it notices."""

    def parts(self, known: Iterable[str]) -> list[str]:
        """The chosen ones of ``known``, in their order. Raises :class:`Unavailable`."""
        there = [*known]
        wanted = self.only.split(",") if self.only else there
        for each in wanted:
            if each not in there:
                raise Unavailable(f"no part is named {each!r}: {', '.join(there)}")
        return [each for each in there if each in wanted]


_print: Final = partial(print, flush=True)


class Report:
    """Lines on standard output (or ``write``), each with the seconds since the show began."""

    def __init__(self, write: Callable[[str], object] = _print) -> None:
        self._write: Final = write
        self._begun: Final = time.monotonic()
        self.figures: dict[str, float] = {}
        """Every number that was said, by its name."""
        self.broken: list[str] = []
        """The promises that did not hold."""
        self.kept = 0

    def say(self, text: str) -> None:
        """Tell how far it is."""
        self._write(f"[{time.monotonic() - self._begun:6.1f}] {text}")

    def figure(self, name: str, value: float, unit: str = "") -> float:
        """State a number; answers it."""
        self.figures[name] = value
        self.say(f"{name} = {value:,.4g}{' ' if unit else ''}{unit}")
        return value

    def promise(self, text: str, held: bool) -> None:
        """State whether a promise held."""
        if held:
            self.kept += 1
        else:
            self.broken.append(text)
        self.say(f"{'kept  ' if held else 'BROKEN'} {text}")

    @property
    def exit_code(self) -> int:
        """0 if there were promises and all of them held."""
        return 0 if self.kept and not self.broken else 1
