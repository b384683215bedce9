"""The seeded mutants fit the code, and the runner tells caught ones from survivors."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from tests.faults.catalogue import SCENARIOS
from tests.faults.engine import FAILED_RUN
from tests.faults.mutant import Mutant
from tests.faults.mutants import ROOT, applied, fate_of, fate_told_by
from tests.faults.seeds import MUTANTS, NO_MUTANT

LEAST = 25
HARMFUL = next(each for each in MUTANTS if each.scenario == "raise-SystemExit")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: f"{each.scenario}: {each.name}")
def test_its_text_is_there_once_and_the_mutation_is_code(mutant: Mutant) -> None:
    source = (ROOT / mutant.path).read_text()
    mutated = applied(mutant, source)
    assert mutated is not None, f"{mutant.path} holds {mutant.old!r} {source.count(mutant.old)} x"
    assert ast.dump(ast.parse(mutated)) != ast.dump(ast.parse(source))


def test_there_are_enough_and_each_names_a_scenario() -> None:
    assert len(MUTANTS) >= LEAST
    assert {each.scenario for each in MUTANTS} <= {each.key for each in SCENARIOS}


@pytest.mark.parametrize("key", [each.key for each in SCENARIOS])
def test_every_scenario_has_a_mutant_of_its_own_or_says_why_not(key: str) -> None:
    seeded = any(each.scenario == key for each in MUTANTS)
    assert seeded or NO_MUTANT.get(key), f"{key}: a scenario that can't fail is a defect"
    assert not (seeded and key in NO_MUTANT), f"{key} has a mutant, and a reason to have none"


def test_reasons_are_given_for_scenarios_that_exist() -> None:
    assert set(NO_MUTANT) <= {each.key for each in SCENARIOS}


def test_a_mutant_that_breaks_something_is_caught() -> None:
    fate, how = fate_of(HARMFUL)
    assert fate == "caught"
    assert "restarted" in how


def test_a_mutant_that_breaks_nothing_survives() -> None:
    harmless = replace(HARMFUL, new=f"{HARMFUL.old}  # mutant")
    assert fate_of(harmless) == ("SURVIVED", "")


@pytest.mark.parametrize(
    ("code", "printed", "fate"),
    [
        (0, "held      1 x   y 1 ms\n", "SURVIVED"),
        (1, "broke     1 x   y 1 ms\n           no requests fail: 1 x\n", "caught"),
        (1, f"broke     1 x   y 1 ms\n           {FAILED_RUN}: OSError()\n", "NO VERDICT"),
        (1, "Traceback (most recent call last):\n", "NO VERDICT"),
        (2, "broke     1 x   y 1 ms\n           no requests fail: 1 x\n", "NO VERDICT"),
    ],
)
def test_only_a_broken_invariant_catches_a_mutant(code: int, printed: str, fate: str) -> None:
    assert fate_told_by(code, printed)[0] == fate


def test_a_mutant_that_no_longer_fits_is_told_as_such() -> None:
    assert fate_of(replace(HARMFUL, old="of yesterday"))[0] == "NOT SEEDED"
