"""Our own text says what prometheus-client's would, in both formats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Gauge, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser
from prometheus_client.parser import text_string_to_metric_families as parse
from prometheus_client.registry import Collector

from http_service.telemetry.exposition import (
    PIECE_BYTES,
    Histograms,
    MetricsRegistry,
    Numbers,
    Table,
    Tables,
    cut,
)

BOUNDS = (0.005, 0.25, 1.0, 600.0)
VALUE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)
"""Names of models: quotes, backslashes, line ends, per cents and all of Unicode among them."""

NUMBER = st.integers(0, 10**12) | st.floats(0, 1e12, allow_nan=False)
COUNTS = st.lists(st.integers(0, 10**9), min_size=5, max_size=5)
LABELS = st.tuples(VALUE, VALUE)

ROWS = st.dictionaries(LABELS, NUMBER, max_size=4)
OBSERVED = st.dictionaries(LABELS, st.tuples(COUNTS, st.floats(0, 1e12)), max_size=4)

Observed = dict[tuple[str, str], tuple[list[int], float]]


class Some(Tables):
    """Tables of three kinds."""

    def __init__(self, rows: dict[tuple[str, str], float], observed: Observed) -> None:
        self._rows = rows
        self._observed = observed

    def tables(self) -> Iterable[Table]:
        """A counter, a gauge and a histogram."""
        labels = ("kind", "model")
        yield Numbers("x_requests_total", "How many.", labels, [*self._rows.items()])
        yield Numbers("x_now", "How many now.", labels, [*self._rows.items()])
        rows = [(names, counts, total) for names, (counts, total) in self._observed.items()]
        yield Histograms("x_seconds", "How long.", labels, BOUNDS, rows)


def families(found: Iterable[Metric]) -> dict[str, tuple[str, str, list[object]]]:
    """What was parsed, without the order of families."""
    return {
        each.name: (
            each.type,
            each.documentation,
            [(sample.name, sample.labels, sample.value) for sample in each.samples],
        )
        for each in found
    }


class Other(Collector):
    """A collector of somebody else's."""

    def collect(self) -> Iterable[Metric]:
        """One gauge."""
        yield GaugeMetricFamily("y_other", "Theirs.", value=2)


def open_families(text: str) -> dict[str, tuple[str, str, list[object]]]:
    """The same of OpenMetrics, which are parsed more strictly."""
    return families(cast("Any", parser).text_string_to_metric_families(text))  # it has no types


@given(ROWS, OBSERVED)
def test_the_text_says_what_the_client_librarys_does(
    rows: dict[tuple[str, str], float], observed: Observed
) -> None:
    registry = MetricsRegistry()
    registry.register(Some(rows, observed))

    text, content_type = registry.render(open_metrics=False)

    assert content_type.startswith("text/plain; version=0.0.4")
    assert families(parse(text.decode())) == families(parse(generate_latest(registry).decode()))


@given(ROWS, OBSERVED)
def test_the_open_metrics_say_what_the_client_librarys_do(
    rows: dict[tuple[str, str], float], observed: Observed
) -> None:
    registry = MetricsRegistry()
    registry.register(Some(rows, observed))

    text, content_type = registry.render(open_metrics=True)

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n")
    encode, _ = choose_encoder("application/openmetrics-text")
    assert open_families(text.decode()) == open_families(encode(registry).decode())


def test_other_collectors_are_shown_beside_ours_until_they_are_taken_out() -> None:
    registry, ours, other = MetricsRegistry(), Some({("a", "b"): 1}, {}), Other()
    registry.register(ours)
    registry.register(other)
    Gauge("y_gauge", "Theirs.", registry=registry).set(3)

    text = registry.render(open_metrics=False)[0]
    assert b'x_now{kind="a",model="b"} 1.0\n' in text
    assert b"y_other 2.0\n" in text
    assert b"y_gauge 3.0\n" in text

    registry.unregister(ours)
    registry.unregister(other)
    text = registry.render(open_metrics=False)[0]
    assert b"x_now" not in text
    assert b"y_other" not in text


def test_a_name_that_is_taken_is_refused() -> None:
    registry = MetricsRegistry()
    registry.register(Some({}, {}))

    with pytest.raises(ValueError, match="x_"):
        registry.register(Some({}, {}))
    assert registry.render(open_metrics=False)[0].count(b"# TYPE x_now") == 1


TEXTS = st.lists(st.integers(0, 3 * PIECE_BYTES) | st.integers(0, 100), max_size=8)


@given(TEXTS)
def test_texts_are_cut_into_pieces_of_one_length(sizes: list[int]) -> None:
    texts = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    pieces = [*cut(texts)]

    assert b"".join(pieces) == b"".join(texts)
    assert all(len(each) == PIECE_BYTES for each in pieces[:-1])
    assert all(0 < len(each) <= PIECE_BYTES for each in pieces[-1:])


def test_a_registry_renders_in_pieces_whoever_writes_the_text() -> None:
    rows = {("kind", f"model-{number}"): float(number) for number in range(2000)}
    registry = MetricsRegistry()
    registry.register(Some(rows, {}))
    gauge = Gauge("y_gauge", "Theirs.", ("model",), registry=registry)
    for _, model in rows:
        gauge.labels(model).set(1)

    for open_metrics in (False, True):
        pieces = [*registry.pieces(open_metrics=open_metrics)]
        assert len(pieces) > 2
        assert all(len(each) == PIECE_BYTES for each in pieces[:-1])
        assert b"".join(pieces).count(b"# EOF\n") == open_metrics
