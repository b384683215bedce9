"""The mutants, by module: the mistakes that a change of that module could make."""

from __future__ import annotations

from typing import Final

from tests.mutants.seeds_actor import ACTOR
from tests.mutants.seeds_tree import TREE

__all__ = ["MUTANTS"]

MUTANTS: Final = (*TREE, *ACTOR)
