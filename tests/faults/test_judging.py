"""Every invariant can fail; a verdict follows from evidence alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.catalogue import LAST_ROW, SCENARIOS, chosen
from tests.faults.evidence import Evidence, Mark, Request, Sample, Vitals
from tests.faults.invariants import (
    COMMON,
    Invariant,
    all_failures_are,
    at_least,
    at_most,
    common,
    fact_is,
    no_failures,
)
from tests.faults.judge import judge, skipped
from tests.faults.mix import mixed, told, unavailability
from tests.faults.scenario import Figure, Scenario

GOOD = Evidence(
    injected_at=1.0,
    healed_at=2.0,
    ended_at=3.0,
    requests=tuple(Request(n / 10, 0.01, "m", "ok") for n in range(30)),
    facts={"allowed_models": {frozenset({"a"})}, "exit_code": 0, "exit_seconds": 0.1},
    samples=(Sample(0.5, {"models": ["a"]}),),
)


def failing(outcome: str, at: float = 1.5) -> Evidence:
    return replace(GOOD, requests=(*GOOD.requests, Request(at, 0.5, "m", outcome)))


def facts(**more: Any) -> Evidence:
    return replace(GOOD, facts={**GOOD.facts, **more})


def shown(*models: str) -> Evidence:
    return replace(
        GOOD, samples=tuple(Sample(n, {"models": [*each]}) for n, each in enumerate(models))
    )


BAD = {
    "C1": failing("late"),
    "C2": failing("status 500"),
    "C3": replace(GOOD, samples=(Sample(0.5, {"models": ["a", "b"]}),)),
    "C4": shown("ab", "ba"),
    "C5": replace(GOOD, after=Vitals(inflight=1)),
    "C6": replace(GOOD, after=Vitals(files=100)),
    "C7": facts(faults_injected=2, lines_logged=1),
    "C8": facts(exit_code=1),
    "C9": replace(GOOD, steady=False),
}


@pytest.mark.parametrize("letter", COMMON)
def test_each_common_invariant_holds_of_good_evidence_and_breaks_of_bad(letter: str) -> None:
    (invariant,) = common(letter)
    assert invariant.check(GOOD) is None
    assert invariant.check(BAD[letter])


BLIND = {
    "C3": facts(allowed_models=None),
    "C4": replace(GOOD, samples=()),
    "C5": facts(inflight_unknown=True),
    "C6": GOOD,
    "C7": GOOD,
    "C8": facts(exit_code=None),
}


@pytest.mark.parametrize("letter", BLIND)
def test_what_a_run_did_not_show_is_told_as_unseen_and_not_as_held(letter: str) -> None:
    scenario = replace(SCENARIOS[0], invariants=common("C1", letter), figures=())
    verdict = judge(scenario, BLIND[letter])
    name = f"{letter} {COMMON[letter].name}"
    assert verdict.outcome == "held"
    assert verdict.unseen == (name,)
    assert verdict.promises == (f"C1 {COMMON['C1'].name}", f"not seen from here: {name}")


def test_a_run_that_shows_everything_leaves_nothing_unseen() -> None:
    seen = replace(
        facts(faults_injected=1, lines_logged=1),
        before=Vitals(threads=3),
        after=Vitals(threads=3),
        samples=(Sample(1.5, {"models": ["a"]}),),
    )
    scenario = replace(SCENARIOS[0], invariants=common(*COMMON), figures=())
    assert judge(scenario, seen).unseen == ()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.key)
def test_each_row_names_its_fault_and_its_invariants_in_their_places(scenario: Scenario) -> None:
    assert callable(scenario.fault)
    assert scenario.invariants
    assert all(isinstance(each, Invariant) for each in scenario.invariants)


def test_the_first_model_may_change_once_it_is_removed_and_comes_back_behind() -> None:
    assert COMMON["C4"].check(shown("abc", "bc", "bca")) is None
    assert COMMON["C4"].check(shown("abc", "bc", "abc"))


@pytest.mark.parametrize(
    ("vitals", "broken"),
    [
        (Vitals(threads=50), True),
        (Vitals(actors=1), True),
        (Vitals(threads=2, files=3), False),
    ],
)
def test_leaks_are_told_from_pools(vitals: Vitals, broken: bool) -> None:
    assert (COMMON["C6"].check(replace(GOOD, after=vitals)) is not None) is broken


def test_an_exit_that_takes_too_long_breaks_its_budget() -> None:
    assert COMMON["C8"].check(facts(exit_seconds=60.0))


@pytest.mark.parametrize(
    ("invariant", "bad"),
    [
        (no_failures(), failing("cut")),
        (no_failures("m", but="refused"), failing("cut")),
        (all_failures_are("refused|cut"), failing("status 500")),
        (fact_is("n", 1, "n is one"), facts(n=2)),
        (at_most(lambda e: e.fact("n"), 1, "few"), facts(n=2)),
        (at_least(lambda e: e.fact("n"), 3, "many"), facts(n=2)),
    ],
)
def test_each_made_invariant_breaks_of_bad_evidence(invariant: Invariant, bad: Evidence) -> None:
    assert invariant.check(bad)


@pytest.mark.parametrize(
    ("invariant", "good"),
    [
        (no_failures(), GOOD),
        (no_failures("other"), failing("cut")),
        (no_failures("m", but="refused"), failing("refused")),
        (all_failures_are("refused|cut"), failing("cut")),
        (fact_is("n", 1, "n is one"), facts(n=1)),
        (fact_is("n", 1, "n is one"), replace(GOOD, control=True)),
        (fact_is("n", 1, "n is one", always=False), replace(facts(n=7), control=True)),
        (at_least(lambda e: e.fact("n"), 3, "many"), replace(GOOD, control=True)),
    ],
)
def test_each_made_invariant_holds_of_good_evidence(invariant: Invariant, good: Evidence) -> None:
    assert invariant.check(good) is None


def test_a_verdict_breaks_by_an_invariant_and_by_a_control_run_that_shows_something() -> None:
    figure = Figure("failed", "", lambda e: len(e.failed()))
    scenario = replace(SCENARIOS[0], invariants=(no_failures(),), figures=(figure,))
    assert judge(scenario, GOOD, GOOD).outcome == "held"
    broken = judge(scenario, failing("cut"))
    assert (broken.outcome, broken.figures) == ("broke", {"failed": 1})
    noisy = judge(replace(scenario, invariants=()), GOOD, failing("cut"))
    assert noisy.broken == ("control: failed is 1 , not 0",)
    assert skipped(scenario, "no permission").outcome == "skipped"


def test_outages_and_availability_are_measured_over_the_requests() -> None:
    late = (Request(1.0, 0.5, "m", "cut"), Request(1.4, 0.2, "m", "cut"))
    seen = replace(GOOD, requests=(Request(0.9, 0.01, "m", "ok"), *late))
    assert seen.outage() == pytest.approx(0.6)
    assert seen.availability() == pytest.approx(100 / 3)
    assert GOOD.outage() == 0.0
    assert replace(GOOD, requests=()).availability() == 100.0
    assert GOOD.percentile(99) == pytest.approx(10.0)
    assert replace(GOOD, requests=()).percentile(99) == 0.0


def test_a_stream_that_says_its_worker_left_is_told_apart_from_one_that_just_failed() -> None:
    during = Request(1.1, 0.2, "m stream", "error event None")
    other = Request(5.0, 0.2, "m stream", "error event None")
    unary = Request(1.1, 0.2, "m", "status 502")
    marks = (Mark(1.0, "inject worker-down"), Mark(1.5, "heal worker-down"))
    seen = replace(GOOD, requests=(*GOOD.requests, during), marks=marks)
    assert told(seen) == [during]
    assert unavailability(seen) == 0.0
    assert told(replace(seen, marks=())) == []
    assert unavailability(replace(seen, marks=())) == pytest.approx(100 / 31)
    for bad in (other, unary):
        lost = replace(seen, requests=(*GOOD.requests, bad))
        assert not told(lost)
        assert unavailability(lost) == pytest.approx(100 / 31)
        assert judge(mixed("mix", None, 60.0), lost).outcome == "broke"


def test_marks_are_counted_and_timed_from_the_injection() -> None:
    seen = replace(GOOD, marks=(Mark(0.5, "restart a"), Mark(1.25, "restart a")))
    assert seen.count("restart") == 2
    assert seen.since_injection("restart") == pytest.approx(250.0)
    assert seen.since_injection("gave up") == 0.0


def test_every_row_of_the_catalogue_has_a_scenario_and_every_scenario_a_key_of_its_own() -> None:
    assert {each.row for each in SCENARIOS} == set(range(1, LAST_ROW + 1))
    keys = [each.key for each in SCENARIOS]
    assert len(set(keys)) == len(keys)
    assert not [key for key in keys if " " in key]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.key)
def test_every_scenario_states_invariants_and_a_figure(scenario: Any) -> None:
    assert scenario.invariants
    assert scenario.figures
    assert scenario.title
    assert not scenario.title.endswith(".")


def test_scenarios_are_chosen_by_row_family_and_key() -> None:
    assert {each.row for each in chosen("4,11")} == {4, 11}
    assert {each.family for each in chosen("clients")} == {"clients"}
    assert [each.key for each in chosen("=hang")] == ["hang"]
    assert all(each.black_box for each in chosen("", black_box=True))
    assert {each.row for each in chosen("", black_box=True)} == {25, 26, 27, 28, 29}
    assert chosen("no such thing") == []
