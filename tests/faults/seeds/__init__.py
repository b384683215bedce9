"""The seeded mutants: each a way to break the product that one scenario must notice."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tests.faults.seeds.actors import ACTORS
from tests.faults.seeds.clients import CLIENTS
from tests.faults.seeds.discovery import DISCOVERY
from tests.faults.seeds.engines import ENGINES
from tests.faults.seeds.processes import PROCESSES

__all__ = ["MUTANTS", "NO_MUTANT"]

MUTANTS: Final = (*ACTORS, *DISCOVERY, *ENGINES, *CLIENTS, *PROCESSES)

NO_MUTANT: Final[Mapping[str, str]] = MappingProxyType({})
"""Scenarios that can have no mutant of their own, and why not."""
