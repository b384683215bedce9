"""The pure parts of the benchmark: who takes turns with whom, and what the table says."""

from __future__ import annotations

import pytest

from tests.bench.supervision.case import (
    Case,
    Figures,
    Measure,
    Promise,
    Row,
    at_least_stock,
    at_most,
    at_most_stock,
)
from tests.bench.supervision.rounds import Result, run
from tests.bench.supervision.sampling import cpu, latencies, quantiles
from tests.bench.supervision.table import lines

ROW = Row("x", "x, µs", at_most_stock())


def noting(calls: list[str], name: str) -> Measure:
    """A measure that notes its call and finds 1."""

    def measure() -> Figures:
        calls.append(name)
        return {"x": 1.0}

    return measure


def test_cases_take_turns_and_every_other_round_the_other_side_is_first() -> None:
    calls: list[str] = []
    one = Case("one", (ROW,), noting(calls, "one"), noting(calls, "stock"))
    brief = Case("brief", (ROW,), noting(calls, "brief"), most_rounds=1)
    reported: list[str] = []
    results = run([one, brief], 2, reported.append)
    assert calls == ["one", "stock", "brief", "stock", "one"]
    assert reported == ["round 1: one …", "round 1: brief …", "round 2: one …"]
    assert [len(result.ours) for result in results] == [2, 1]


def test_the_ratio_is_taken_within_a_round() -> None:
    case = Case("case", (ROW,), dict, dict)
    ours: list[Figures] = [{"x": 1.0}, {"x": 10.0}, {"x": 3.0}]
    stock: list[Figures] = [{"x": 2.0}, {"x": 20.0}, {"x": 30.0}]
    assert Result(case, ours, stock).middle(ROW) == (3.0, 20.0, 0.5)


@pytest.mark.parametrize(
    ("promise", "ours", "stock", "kept"),
    [
        (at_most_stock(), 2.0, 2.0, "yes"),
        (at_most_stock(), 2.1, 2.0, "NO"),
        (at_least_stock(), 1.9, 2.0, "NO"),
        (at_least_stock(), 2.0, 2.0, "yes"),
        (at_most(5, "µs"), 5.0, 1.0, "yes"),
        (at_most(5, "µs"), 5.1, 9.0, "NO"),
        (Promise(""), 5.1, 9.0, "0.567"),
    ],
)
def test_the_table_says_whether_a_promise_is_kept(
    promise: Promise, ours: float, stock: float, kept: str
) -> None:
    case = Case("case", (Row("x", "x, µs", promise),), dict, dict)
    head, name, line = lines([Result(case, [{"x": ours}], [{"x": stock}])])
    assert head.endswith("kept")
    assert name == "case"
    assert line.split()[-1] == kept


def test_without_a_stock_side_there_are_dashes() -> None:
    case = Case("case", (Row("x", "x", at_most(5, "µs")),), dict)
    assert lines([Result(case, [{"x": 1234.5}])])[2].split() == [
        "x",
        "1,234",
        "-",
        "-",
        "≤",
        "5",
        "µs",
        "NO",
    ]


def test_quantiles_are_those_of_the_samples_in_the_unit_asked_for() -> None:
    assert quantiles([number / 100 for number in range(101)], 1000) == {"p50": 500.0, "p99": 990.0}


def test_the_warm_up_is_not_counted() -> None:
    calls: list[int] = []
    assert len(latencies(lambda: calls.append(1), 20)) == 20
    assert len(calls) == 22
    assert cpu(lambda: calls.append(1), 10) >= 0
    assert len(calls) == 22 + 11
