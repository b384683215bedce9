"""What a seeded mutant is: a text of the product, what it becomes, and who must notice."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mutant"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` in the file ``path`` becomes ``new``; then ``scenario`` must break."""

    scenario: str
    name: str
    """What is broken, as a sentence without its end."""
    path: str
    old: str
    """A text that occurs exactly once."""
    new: str
