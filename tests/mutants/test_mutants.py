"""Every mutant still fits the code, and the runner can tell a caught one from a survivor."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants.__main__ import caught, run
from tests.mutants.mutant import TESTS, Mutant, NotSeeded
from tests.mutants.named_tests import exists
from tests.mutants.sandbox import ROOT, Outcome
from tests.mutants.seeds import MUTANTS

LEAST = 12
"""How many mutants the library promises at least."""

HARMFUL = MUTANTS[0]
HARMLESS = replace(HARMFUL, name="the same in other words", new=f"{HARMFUL.old}  # mutant")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: f"{each.file}: {each.name}")
class TestEachMutant:
    """What must hold for each, so that `make mutants` says something."""

    def test_its_text_is_in_the_file_once_and_the_mutation_is_code(self, mutant: Mutant) -> None:
        source = (ROOT / mutant.path).read_text()
        before, after = ast.parse(source), ast.parse(mutant.applied(source))
        assert ast.dump(before) != ast.dump(after)

    def test_the_test_that_must_fail_exists(self, mutant: Mutant) -> None:
        assert exists(ROOT / TESTS, mutant.test)


def test_there_are_enough_of_them_and_each_has_its_own_name() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= LEAST


def test_every_heart_of_the_library_has_mutants() -> None:
    hearts = {f"{each}.py" for each in ("plan", "mailbox", "reply", "supervisor", "cancellation")}
    assert hearts | {"address.py", "calling_thread_actor.py"} <= {mutant.file for mutant in MUTANTS}


@pytest.mark.parametrize("source", ["", HARMFUL.old * 2])
def test_a_text_that_is_missing_or_ambiguous_is_not_mutated(source: str) -> None:
    with pytest.raises(NotSeeded, match=r"plan\.py"):
        HARMFUL.applied(source)


def test_a_mutation_happens_in_the_copy_only(tmp_path: Path) -> None:
    copy = tmp_path / HARMFUL.path
    copy.parent.mkdir(parents=True)
    original = (ROOT / HARMFUL.path).read_text()
    copy.write_text(original)
    HARMFUL.apply_under(tmp_path)
    assert copy.read_text() == HARMFUL.applied(original)
    assert (ROOT / HARMFUL.path).read_text() == original


def test_a_mutant_that_breaks_something_is_caught_and_one_that_does_not_survives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([HARMFUL, HARMLESS]) == 1
    shown = capsys.readouterr().out
    assert f"caught      plan.py: {HARMFUL.name}" in shown
    assert f"SURVIVED    plan.py: {HARMLESS.name}" in shown
    assert "caught 1 of 2" in shown


def test_a_mutant_that_no_longer_fits_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([replace(HARMFUL, old="of yesterday")]) == 1
    assert "NOT SEEDED" in capsys.readouterr().out


def test_a_test_that_is_not_found_catches_nothing() -> None:
    with pytest.raises(Outcome, match="not found"):
        caught(replace(HARMFUL, test="test_plan.py::test_of_yesterday"))
