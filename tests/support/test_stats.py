"""Quantiles, medians, spread: small, and easily got wrong by one."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stats import Quantiles, middle, quantile

numbers = st.lists(st.floats(-1e6, 1e6), min_size=1)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.505, 51), (0.99, 99), (1.0, 100)]
)
def test_a_quantile_of_the_first_hundred_numbers(share: float, expected: float) -> None:
    assert quantile([*range(100, 0, -1)], share) == expected


@given(values=numbers, share=st.floats(0, 1))
def test_a_quantile_is_a_value_that_enough_others_do_not_exceed(
    values: list[float], share: float
) -> None:
    found = quantile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6


@given(values=numbers)
def test_the_middle_is_the_median(values: list[float]) -> None:
    assert middle(values) == pytest.approx(statistics.median(values))


def test_nothing_has_no_quantile_and_no_middle() -> None:
    assert math.isnan(quantile([], 0.5))
    assert math.isnan(middle([]))
    assert math.isnan(Quantiles.of([]).p99)


def test_times_are_given_in_milliseconds() -> None:
    assert Quantiles.of([0.001] * 98 + [0.5, 0.5]) == Quantiles(1.0, 500.0)
