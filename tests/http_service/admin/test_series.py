"""Rings of twenty minutes: what they hold, what is missing, and which models have some."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.admin.series import (
    MODELS,
    STEPS,
    Counts,
    Series,
    quantile,
    rates_of,
    summed,
)

BOUNDS = (1.0, 2.0, 4.0)


def model(requests: float = 1.0) -> dict[str, float]:
    return {"requests": requests, "errors": 0.0, "tokens": 0.0, "first_token_p50": math.nan}


def test_values_come_in_order_with_the_newest_last() -> None:
    series = Series()
    for number in range(3):
        series.add(100.0 + number, {"requests": float(number)}, {})
    document = series.document()
    assert (document.step, document.end) == (1.0, 102.0)
    assert document.series["requests"] == [0.0, 1.0, 2.0]
    assert document.series["first_token_p50"] == [None, None, None]
    assert series.newest().series["requests"] == 2.0


@pytest.mark.parametrize("missing", [1, 5, STEPS, 10 * STEPS])
def test_seconds_without_a_sample_are_missing(missing: int) -> None:
    series = Series()
    series.add(1.0, {"requests": 1.0}, {})
    series.skip(missing)
    series.add(2.0, {"requests": 2.0}, {})
    values = series.document().series["requests"]
    assert len(values) == min(missing + 2, STEPS)
    assert values[-1] == 2.0
    assert values[-min(missing, STEPS - 1) - 1 : -1] == [None] * min(missing, STEPS - 1)


def test_no_series_is_longer_than_twenty_minutes() -> None:
    series = Series()
    for number in range(STEPS + 7):
        series.add(float(number), {"requests": float(number)}, {"m": model()})
    values = series.document().series["requests"]
    assert (len(values), values[0], values[-1]) == (STEPS, 7.0, STEPS + 6.0)


def test_a_model_that_does_nothing_has_rates_of_zero_and_no_quantiles() -> None:
    series = Series()
    series.add(1.0, {}, {"m": model(3.0)})
    series.add(2.0, {}, {})
    found = series.document().models["m"]
    assert (found["requests"], found["first_token_p50"]) == ([3.0, 0.0], [None, None])


def test_the_busiest_models_have_series() -> None:
    series = Series()
    series.add(1.0, {}, {f"m{number}": model(10.0 + number) for number in range(MODELS)})
    series.add(2.0, {}, {"quiet": model(1.0), "busy": model(1000.0)})
    found = series.document().models
    assert len(found) == MODELS
    assert "busy" in found
    assert "quiet" not in found
    assert "m0" not in found


def test_rates_are_per_second_and_sums_are_of_all_models() -> None:
    before = summed([Counts(0, 0, 0, [0, 0, 0, 0]), Counts(4, 1, 10, [1, 0, 0, 0])], 4)
    after = summed([Counts(2, 0, 20, [0, 2, 0, 0]), Counts(6, 2, 40, [1, 2, 0, 0])], 4)
    rates = rates_of(before, after, 2.0, BOUNDS)
    assert (rates["requests"], rates["errors"], rates["tokens"]) == (2.0, 0.5, 25.0)
    assert rates["first_token_p50"] == 1.5


def test_nothing_has_a_sum() -> None:
    assert summed([], 4) == Counts(0, 0, 0, [0, 0, 0, 0])
    assert math.isnan(rates_of(summed([], 4), summed([], 4), 1.0, BOUNDS)["first_token_p99"])


@pytest.mark.parametrize(
    ("buckets", "share", "expected"),
    [
        ([10, 0, 0, 0], 0.5, 0.5),
        ([0, 10, 0, 0], 0.5, 1.5),
        ([5, 5, 0, 0], 0.99, 1.98),
        ([0, 0, 0, 3], 0.5, 4.0),
        ([1, 0, 0, 1], 0.5, 1.0),
    ],
)
def test_a_quantile_lies_within_its_bucket(
    buckets: list[int], share: float, expected: float
) -> None:
    assert quantile(buckets, BOUNDS, share) == pytest.approx(expected)


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.floats(0.01, 0.99))
def test_a_quantile_is_none_or_within_the_bounds(buckets: list[int], share: float) -> None:
    value = quantile(buckets, BOUNDS, share)
    assert math.isnan(value) if not sum(buckets) else 0.0 <= value <= 4.0
