"""Histogram bounds, against the lists that Dynamo publishes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.buckets import DURATION, INTER_TOKEN, TIME_TO_FIRST_TOKEN, log_spaced

DYNAMO = [
    (DURATION, "0 2 4 8 16 32 64 130 260 510"),
    (TIME_TO_FIRST_TOKEN, "0 .0022 .0047 .01 .022 .047 .1 .22 .47 1 2.2 4.7 10 22 48 100 220 480"),
    (INTER_TOKEN, "0 .0019 .0035 .0067 .013 .024 .045 .084 .16 .3 .56 1.1 2"),
    (log_spaced(50, 128_000, 12), "0 100 210 430 870 1800 3600 7400 15000 31000 63000 130000"),
    (log_spaced(50, 32_000, 10), "0 100 210 430 880 1800 3700 7600 16000 32000"),
    (log_spaced(0.001, 10, 14), "0 .002 .0041 .0084 .017 .035 .07 .14 .29 .59 1.2 2.4 4.9 10"),
]


@pytest.mark.parametrize(("bounds", "published"), DYNAMO)
def test_the_bounds_are_the_published_ones(bounds: tuple[float, ...], published: str) -> None:
    assert bounds == tuple(float(each) for each in published.split())


@given(
    low=st.floats(1e-6, 1e3),
    factor=st.floats(1.5, 1e6),
    count=st.integers(2, 100),
)
def test_bounds_rise_from_zero_to_the_highest(low: float, factor: float, count: int) -> None:
    bounds = log_spaced(low, low * factor, count)

    assert bounds[0] == 0
    assert all(before < after for before, after in pairwise(bounds))
    assert bounds[-1] == pytest.approx(low * factor, rel=0.06)
    assert len(bounds) <= count
