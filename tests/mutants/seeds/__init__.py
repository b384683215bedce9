"""The mutants, by what must catch them: tests of supervision and pool, scenarios of faults."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.mutants.seeds.actor import ACTOR
from tests.mutants.seeds.actor_scenarios import ACTORS
from tests.mutants.seeds.clients import CLIENTS
from tests.mutants.seeds.discovery import DISCOVERY
from tests.mutants.seeds.engines import ENGINES
from tests.mutants.seeds.migration import MIGRATION
from tests.mutants.seeds.processes import PROCESSES
from tests.mutants.seeds.tree import TREE

__all__ = ["BY_SCENARIOS", "BY_TESTS", "MUTANTS", "NO_MUTANT"]

BY_TESTS: Final = (*TREE, *ACTOR, *MIGRATION)
BY_SCENARIOS: Final = (*ACTORS, *DISCOVERY, *ENGINES, *CLIENTS, *PROCESSES)
MUTANTS: Final = (*BY_TESTS, *BY_SCENARIOS)

NO_MUTANT: Final[Mapping[str, str]] = MappingProxyType({})
"""Scenarios that can have no mutant of their own, and why not."""
