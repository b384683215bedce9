"""A mutant: one text of one file replaced by another, and the test that must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["PACKAGE", "TESTS", "Mutant", "NotSeeded"]

PACKAGE: Final = "actors/supervision"
TESTS: Final = "tests/supervision"


class NotSeeded(ValueError):
    """The text to replace is not in the file exactly once: the code went on without the mutant."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` in the module ``file`` of the package becomes ``new``; then ``test`` must fail."""

    name: str
    """What is broken, as a sentence without its end."""
    file: str
    old: str
    """A text that occurs exactly once; one line, if that says enough."""
    new: str
    test: str
    """``module::function`` below :data:`TESTS`."""

    @property
    def path(self) -> str:
        """The file, seen from the root of the repository."""
        return f"{PACKAGE}/{self.file}"

    @property
    def node(self) -> str:
        """The test as pytest names it, with all its parameters."""
        return f"{TESTS}/{self.test}"

    def applied(self, source: str) -> str:
        """``source`` with the mutation. Raises :class:`NotSeeded`."""
        count = source.count(self.old)
        if count != 1:
            raise NotSeeded(
                f"{self.name!r}: {self.path} holds {self.old!r} {count} times, not once"
            )
        return source.replace(self.old, self.new)

    def apply_under(self, root: Path) -> None:
        """Mutate the copy of the repository at ``root``. Raises :class:`NotSeeded`."""
        path = root / self.path
        path.write_text(self.applied(path.read_text()))
