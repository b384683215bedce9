"""Every mutant fits the code, and the runner tells the caught ones from survivors."""

from __future__ import annotations

import ast
import builtins
import re
from dataclasses import replace

import pytest

from tests.faults.catalogue import SCENARIOS
from tests.faults.engine import FAILED_RUN
from tests.mutants.__main__ import run
from tests.mutants.mutant import ROOT, Mutant, NotSeeded, known_tests
from tests.mutants.sandbox import Outcome, fate_of, passes, sandbox, verdict
from tests.mutants.seeds import BY_SCENARIOS, BY_TESTS, MUTANTS, NO_MUTANT

KEYS = [scenario.key for scenario in SCENARIOS]

HARMFUL = BY_TESTS[0]
HARMLESS = replace(HARMFUL, name="nothing is broken", new=f"({HARMFUL.new}, {HARMFUL.old})[1]")
SCENARIO = next(mutant for mutant in BY_SCENARIOS if mutant.caught_by == "raise-SystemExit")

CODE = '''
class Queue:
    def put(self, each):
        """Promise."""
        if self.closed:
            raise Closed
        self.waiting.append(each)  # a comment
        log(each, 1, 2, 3)
        if self.open:
            self.wake()
            return True
        return False

    def get(self):
        return self.waiting.pop()


def get(): return 1
LIMITS: Final = (("a", 1), ("b", 2), ("c", 3))
'''


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.caught_by}: {mutant.name}")
class TestEachMutant:
    """What must hold for each, so that `make mutants` says something."""

    def test_its_code_is_in_the_function_once_and_the_change_is_code(self, mutant: Mutant) -> None:
        source = mutant.find().read_text()
        before, after = ast.parse(source), ast.parse(mutant.applied(source))
        assert ast.dump(before) != ast.dump(after)
        compile(after, mutant.where, "exec")

    def test_it_uses_no_name_that_the_file_does_not_know(self, mutant: Mutant) -> None:
        source = mutant.find().read_text()
        nodes = [n for n in ast.walk(ast.parse(mutant.new)) if isinstance(n, ast.Name)]
        names = {n.id for n in nodes if isinstance(n.ctx, ast.Load)}
        unknown = {name for name in names if not re.search(rf"\b{name}\b", source)}
        assert unknown <= set(dir(builtins)), "a NameError would be caught by any test"

    def test_who_must_catch_it_exists(self, mutant: Mutant) -> None:
        assert mutant.caught_by in known_tests() or mutant.caught_by in KEYS


def test_there_are_enough_of_them_and_each_has_its_own_name() -> None:
    assert len({(mutant.caught_by, mutant.name) for mutant in MUTANTS}) == len(MUTANTS)
    assert len(BY_TESTS) >= 66
    assert len(BY_SCENARIOS) >= 82


def test_every_heart_of_the_supervision_library_has_mutants() -> None:
    hearts = {"plan", "mailbox", "reply", "supervisor", "cancellation", "address"}
    assert hearts | {"calling_thread_actor"} <= {mutant.find().stem for mutant in BY_TESTS}


@pytest.mark.parametrize("key", KEYS)
def test_every_scenario_has_a_mutant_of_its_own_or_says_why_not(key: str) -> None:
    seeded = any(mutant.caught_by == key for mutant in BY_SCENARIOS)
    assert seeded or NO_MUTANT.get(key), f"{key}: a scenario that can't fail is a defect"
    assert not (seeded and key in NO_MUTANT), f"{key} has a mutant, and a reason to have none"


def test_reasons_are_given_for_scenarios_that_exist() -> None:
    assert set(NO_MUTANT) <= set(KEYS)


@pytest.mark.parametrize(
    ("where", "old", "new", "line"),
    [
        ("Queue.put", "self.closed", "False", "if False:"),
        ("Queue.put", "raise Closed", "", "pass"),
        ("Queue.put", "self.waiting . append( each )", "", "pass"),
        ("Queue.put", "self.waiting.append(item)", "print(item)", "print(each)"),
        ("Queue.put", "if self.open: ...", "while self.open: ...", "while self.open:"),
        ("Queue.put", "raise Closed", "log()\nraise Closed", "log()"),
        ("Queue.put", "log(each, 1, 2, 3)", "log(each, 1)", "log(each, 1)"),
        ("Queue.put", "1, 2", "4, 5", "log(each, 4, 5, 3)"),
        ("Queue.get", "self.waiting.pop()", "None", "return None"),
        ("get", "1", "2", "return 2"),
        ("LIMITS", '("b", 2)', '("b", 9)', "LIMITS: Final = (('a', 1), ('b', 9), ('c', 3))"),
    ],
)
def test_the_code_of_one_function_is_changed(where: str, old: str, new: str, line: str) -> None:
    mutant = Mutant("x", "x", f"somewhere:{where}", old, new)
    changed = mutant.applied(CODE)
    ast.parse(changed)
    assert line in map(str.strip, changed.splitlines())


@pytest.mark.parametrize(
    ("where", "old"),
    [
        ("Queue.put", "each"),
        ("Queue.put", "self.waiting.pop()"),
        ("Queue.put", "self.shut"),
        ("Queue.get", "pop"),
        ("Queue.take", "self"),
    ],
)
def test_code_that_is_missing_or_ambiguous_is_not_mutated(where: str, old: str) -> None:
    with pytest.raises(NotSeeded, match=r"not once|no Queue"):
        Mutant("x", "x", f"somewhere:{where}", old, "None").applied(CODE)


def test_a_mutation_happens_in_the_copy_only() -> None:
    original = HARMFUL.find().read_text()
    with sandbox() as root:
        HARMFUL.apply_under(root)
        copy = root / HARMFUL.find().relative_to(ROOT)
        assert copy.read_text() == HARMFUL.applied(original)
    assert HARMFUL.find().read_text() == original


def test_a_mutant_that_breaks_something_is_caught_and_one_that_does_not_survives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run([HARMFUL, HARMLESS]) == 1
    shown = capsys.readouterr().out
    assert f"caught      {HARMFUL.label}" in shown
    assert f"SURVIVED    {HARMLESS.label}" in shown
    assert "caught 1 of 2" in shown


def test_a_scenario_catches_what_breaks_its_promise_and_nothing_else() -> None:
    fate, why = fate_of(SCENARIO)
    assert fate == "caught"
    assert "restarted" in why
    harmless = replace(SCENARIO, new=f"({SCENARIO.new}, {SCENARIO.old})[1]")
    assert fate_of(harmless) == ("SURVIVED", "")


def test_a_mutant_that_no_longer_fits_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([replace(HARMFUL, old="of.yesterday")]) == 1
    assert "NOT SEEDED" in capsys.readouterr().out


def test_a_test_that_is_not_found_catches_nothing() -> None:
    with sandbox() as root, pytest.raises(Outcome, match="not found"):
        passes(root, ["tests/supervision/test_plan.py::test_of_yesterday"])


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
    assert verdict(code, printed)[0] == fate
