"""Histogram bounds: they tell a fast answer from a slow one, and what can be bounds at all."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise

import pytest

from http_service import config as buckets
from http_service.config import DURATION_BUCKETS, INTER_TOKEN_BUCKETS, are_bounds


def test_durations_are_told_apart_from_five_milliseconds_to_ten_minutes() -> None:
    assert DURATION_BUCKETS[0] == 0.005
    assert DURATION_BUCKETS[-1] == 600.0


@pytest.mark.parametrize("bounds", [DURATION_BUCKETS, INTER_TOKEN_BUCKETS])
def test_a_bound_is_three_times_the_one_before_it_at_most(bounds: tuple[float, ...]) -> None:
    assert are_bounds(bounds)
    assert all(after / before <= 3 for before, after in pairwise(bounds))


@pytest.mark.parametrize("seconds", [0.001, 0.004, 0.012, 0.7])
def test_the_median_of_equal_durations_is_read_within_a_bucket_of_their_mean(
    seconds: float,
) -> None:
    """As Prometheus' histogram_quantile does: 0 is the lower end of the first bucket."""
    place = bisect_left(DURATION_BUCKETS, seconds)
    lower = DURATION_BUCKETS[place - 1] if place else 0.0
    median = lower + (DURATION_BUCKETS[place] - lower) / 2

    assert median <= max(3 * seconds, 0.0025)


@pytest.mark.parametrize("bounds", [(1,), (0.25, 1), (0.001, 0.002), (*range(1, 65),)])
def test_rising_numbers_above_zero_are_bounds(bounds: tuple[float, ...]) -> None:
    assert are_bounds(bounds)


@pytest.mark.parametrize(
    "bounds",
    [
        (),
        (0.0, 1.0),
        (-1.0, 1.0),
        (1.0, 1.0),
        (2.0, 1.0),
        (1.0, math.inf),
        (math.nan,),
        ("1",),
        (True, 2),
        (*range(1, buckets.MAX_BUCKETS + 2),),
    ],
)
def test_all_else_is_not(bounds: tuple[float, ...]) -> None:
    assert not are_bounds(bounds)
