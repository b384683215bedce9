"""The request path's own histogram says what prometheus-client's would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from http_service.histogram import ModelHistogram

BOUNDS = (0.0, 0.5, 1.0, 2.5)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 2.5, 3.0]), st.integers(1, 5)))
)
def test_it_is_exposed_like_the_client_librarys(observations: list[tuple[float, int]]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    reference = Histogram("x_seconds", "About x.", ["model"], buckets=BOUNDS, registry=theirs)
    tested = ModelHistogram("x_seconds", "About x.", BOUNDS, ours)
    reference.labels("m")
    tested.labels("m")
    for value, count in observations:
        tested.labels("m").observe(value, count)
        for _ in range(count):
            reference.labels("m").observe(value)

    def lines(registry: CollectorRegistry) -> list[str]:
        text = generate_latest(registry).decode().splitlines()
        return [line for line in text if "_created" not in line]

    assert lines(ours) == lines(theirs)


def test_a_name_that_is_taken_is_refused() -> None:
    registry = CollectorRegistry()
    ModelHistogram("x_seconds", "About x.", BOUNDS, registry)

    with pytest.raises(ValueError, match="x_seconds"):
        ModelHistogram("x_seconds", "About x.", BOUNDS, registry)
