"""The request path's own histogram counts as prometheus-client's does."""

from __future__ import annotations

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client import Histogram as Reference

from http_service.telemetry.model_metrics import Histogram

BOUNDS = (0.0, 0.5, 1.0, 2.5)


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 2.5, 3.0]), st.integers(1, 5)))
)
def test_it_counts_like_the_client_librarys(observations: list[tuple[float, int]]) -> None:
    registry = CollectorRegistry()
    reference = Reference("x", "About x.", buckets=BOUNDS, registry=registry)
    tested = Histogram(BOUNDS)
    for value, count in observations:
        tested.observe(value, count)
        for _ in range(count):
            reference.observe(value)

    ends = [*map(str, BOUNDS), "+Inf"]
    theirs = [registry.get_sample_value("x_bucket", {"le": end}) for end in ends]
    assert [*accumulate(tested.counts)] == theirs
    assert tested.total == registry.get_sample_value("x_sum")
