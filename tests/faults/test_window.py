"""A scenario judges what is seen from its injection on: literal timelines, before and after."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.catalogue import SCENARIOS
from tests.faults.evidence import Evidence, Mark, Request, Sample, Vitals
from tests.faults.invariants import (
    COMMON,
    Invariant,
    all_failures_are,
    at_most,
    common,
    no_failures,
)
from tests.faults.judge import judge
from tests.faults.rows.discovery import SEEN_THROUGH
from tests.faults.scenario import Figure, Scenario

INJECTED = 2.4
QUIET = Evidence(
    injected_at=INJECTED,
    healed_at=5.4,
    ended_at=6.0,
    requests=tuple(Request(n / 10, 0.01, "m", "ok") for n in range(60)),
    samples=tuple(Sample(n / 10, {"models": ["a", "b"], "depth": 0}) for n in range(60)),
)
NO_FIGURE = Figure("none", "", lambda _seen: 0.0)


def scenario(*invariants: Invariant, figure: Figure = NO_FIGURE) -> Scenario:
    return replace(SCENARIOS[0], invariants=invariants, figures=(figure,))


def stale(*moments: float) -> Evidence:
    return replace(QUIET, marks=tuple(Mark(at, "stale") for at in moments))


def asked(at: float, took: float, outcome: str) -> Evidence:
    return replace(QUIET, requests=(*QUIET.requests, Request(at, took, "m", outcome)))


def listed(at: float, *models: str) -> Evidence:
    """As before, and from ``at`` on ``models`` are listed instead."""
    rest = tuple(each for each in QUIET.samples if each.at < at)
    return replace(
        QUIET, samples=(*rest, *(Sample(at + n, {"models": [*models], "depth": 0}) for n in (0, 9)))
    )


def outcome(invariant: Invariant, seen: Evidence, control: Evidence | None = None) -> str:
    return judge(scenario(invariant), seen, control).outcome


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (stale(1.4), "held"),  # what broke etcd-latency with seed 3
        (stale(0.0, 1.4, 2.39), "held"),
        (stale(INJECTED), "broke"),
        (stale(1.4, 3.0), "broke"),
        (stale(5.9), "broke"),
    ],
)
def test_a_stale_second_counts_from_the_injection_on(seen: Evidence, expected: str) -> None:
    assert outcome(SEEN_THROUGH, seen) == expected
    assert outcome(SEEN_THROUGH, QUIET, replace(seen, control=True)) == expected


@pytest.mark.parametrize(
    ("at", "took", "expected"),
    [
        (1.0, 0.2, "held"),
        (2.0, 0.39, "held"),
        (2.0, 0.5, "broke"),  # under way at the injection: the fault met it
        (2.4, 0.01, "broke"),
        (5.8, 0.1, "broke"),
    ],
)
@pytest.mark.parametrize(
    ("invariant", "how"),
    [
        (COMMON["C1"], "late"),
        (COMMON["C2"], "status 500"),
        (no_failures(), "cut"),
        (no_failures("m", but="refused"), "cut"),
        (all_failures_are("refused"), "cut"),
        (at_most(lambda e: len(e.failed()), 0, "none fails"), "cut"),
        (at_most(lambda e: e.outage(), 0, "no outage"), "cut"),
    ],
)
def test_a_request_counts_if_it_ended_after_the_injection(
    invariant: Invariant, how: str, at: float, took: float, expected: str
) -> None:
    assert outcome(invariant, asked(at, took, how)) == expected


@pytest.mark.parametrize("what", ["restart etcd", "gave up", "ended victim: crash", "abandoned a"])
def test_what_happened_inside_before_the_injection_is_not_counted(what: str) -> None:
    none = at_most(lambda e: e.count(what), 0, "none")
    assert outcome(none, replace(QUIET, marks=(Mark(2.3, what),))) == "held"
    assert outcome(none, replace(QUIET, marks=(Mark(2.5, what),))) == "broke"


def test_a_half_applied_listing_before_the_injection_is_not_the_faults() -> None:
    allowed = {"allowed_models": {frozenset({"a", "b"})}}
    early = replace(QUIET, facts=allowed, samples=(Sample(1.0, {"models": ["a"]}), *QUIET.samples))
    late = replace(listed(3.0, "a"), facts=allowed)
    assert outcome(COMMON["C3"], early) == "held"
    assert outcome(COMMON["C3"], late) == "broke"


def test_the_first_model_is_compared_with_what_the_injection_found() -> None:
    assert outcome(COMMON["C4"], listed(2.4, "b", "a")) == "broke"
    assert outcome(COMMON["C4"], listed(1.0, "b", "a")) == "held"


def test_a_promise_of_which_only_the_time_before_shows_something_is_unseen() -> None:
    early = replace(QUIET, samples=tuple(each for each in QUIET.samples if each.at < INJECTED))
    assert judge(scenario(*common("C4")), early).unseen == (f"C4 {COMMON['C4'].name}",)


def test_a_figure_looks_at_the_time_before_only_with_its_reason() -> None:
    def count(seen: Evidence) -> float:
        return len(seen.requests)

    whole = Figure("n", "", count, before="to compare")
    assert judge(scenario(figure=whole), QUIET).figures == {"n": 60}
    assert judge(scenario(figure=Figure("n", "", count)), QUIET).figures == {"n": 36}
    early = replace(asked(1.0, 0.1, "cut"), control=True)
    failed = Figure("failed", "", lambda e: len(e.failed()))
    assert judge(scenario(figure=failed), QUIET, early).outcome == "held"
    assert judge(scenario(figure=replace(failed, before="r")), QUIET, early).outcome == "broke"


def test_evidence_without_an_injection_is_judged_whole() -> None:
    seen = Evidence(requests=(Request(0.1, 0.1, "m", "cut"),), marks=(Mark(0.0, "stale"),))
    assert seen.from_injection() is seen


@pytest.mark.parametrize("each", SCENARIOS, ids=lambda each: each.key)
def test_no_scenario_breaks_of_anything_that_was_over_before_its_injection(each: Any) -> None:
    def broken(seen: Evidence) -> tuple[str, ...]:
        return judge(replace(each, figures=()), seen).broken

    vitals = Vitals(threads=4, files=4)
    calm = replace(QUIET, before=vitals, after=vitals)
    whats = ("stale", "restart registry epoch 2", "gave up", "ended victim: crash", "abandoned x")
    noisy = replace(
        calm,
        marks=tuple(Mark(1.4, what) for what in whats),
        requests=(
            *(Request(1.0, 0.1, "m", how) for how in ("late", "cut", "status 500", "refused")),
            *calm.requests,
        ),
        samples=(Sample(0.1, {"models": ["x"], "depth": 10**6}), *calm.samples),
    )
    assert broken(noisy) == broken(calm)
