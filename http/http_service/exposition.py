"""Tables of samples, and their text: what is shown of many models costs microseconds for each.

PERF: prometheus-client makes objects of each sample before it writes a line of it. A table is
written with one format operation a row, a histogram of twenty buckets included. Both forms say the
same: :meth:`Tables.collect` is what the client library shows, :meth:`Tables.text` what we write.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Final, TypeAlias, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

__all__ = ["Histograms", "Numbers", "Registry", "Table", "Tables", "wants_open_metrics"]

MARK: Final = "\0"
"""Stands for the labels in a template; no exposition has it anywhere else."""

BATCH: Final = 100
"""Rows between two rests."""

REST: Final = 0.001
"""Seconds of a rest."""

Row = TypeVar("Row")
Values: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Counters, or gauges, of one name: a row has the labels' values and a number.

    ``labels`` are in alphabetical order; a counter's ``name`` ends with "_total".
    """

    name: str
    help: str
    labels: Values
    rows: Iterable[tuple[Values, float]]

    @property
    def counts(self) -> bool:
        """Whether these are counters."""
        return self.name.endswith("_total")

    def metric(self) -> Metric:
        """As the client library has it."""
        make = CounterMetricFamily if self.counts else GaugeMetricFamily
        family = make(self.name, self.help, labels=self.labels)
        for values, number in self.rows:
            family.add_metric(values, number)
        return family

    def text(self, *, open_metrics: bool) -> str:
        """As lines."""
        family = self.name.removesuffix("_total") if open_metrics else self.name
        head = _head(family, "counter" if self.counts else "gauge", self.help)
        line = f"{self.name}{{{_labels(self.labels)}}} %s\n"
        rows = [
            line % (*map(_escaped, values), float(number)) for values, number in _paced(self.rows)
        ]
        return head + "".join(rows)


@dataclass(frozen=True, slots=True)
class Histograms:
    """Histograms of one name: a row has the labels' values, each bucket's own count, and the sum.

    ``bounds`` are the upper ends of the buckets; the last count is of what is above them all.
    """

    name: str
    help: str
    labels: Values
    bounds: tuple[float, ...]
    rows: Iterable[tuple[Values, Sequence[int], float]]

    def metric(self) -> Metric:
        """As the client library has it."""
        family = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        ends = self._ends()
        for values, counts, total in self.rows:
            family.add_metric(values, [*zip(ends, accumulate(counts), strict=True)], total)
        return family

    def text(self, *, open_metrics: bool) -> str:
        """As lines."""
        del open_metrics
        template, labels = self._template(), _labels(self.labels)
        rows: list[str] = []
        for values, counts, total in _paced(self.rows):
            # A label's own "%" must outlive the second formatting.
            told = (labels % (*map(_escaped, values),)).replace("%", "%%")
            sums = [*accumulate(counts)]
            rows.append(template.replace(MARK, told) % (*sums, sums[-1], total))
        return _head(self.name, "histogram", self.help) + "".join(rows)

    def _ends(self) -> list[str]:
        return [*map(str, self.bounds), "+Inf"]

    def _template(self) -> str:
        name = self.name
        buckets = [f'{name}_bucket{{le="{end}",{MARK}}} %d.0\n' for end in self._ends()]
        return "".join([*buckets, f"{name}_count{{{MARK}}} %d.0\n", f"{name}_sum{{{MARK}}} %s\n"])


Table: TypeAlias = Numbers | Histograms


class Tables(Collector):
    """A collector that shows tables."""

    @abstractmethod
    def tables(self) -> Iterable[Table]:
        """Every table as it is now. Any thread."""

    def collect(self) -> Iterator[Metric]:
        """As the client library has them."""
        return (table.metric() for table in self.tables())

    def text(self, *, open_metrics: bool) -> bytes:
        """As lines."""
        texts = (table.text(open_metrics=open_metrics) for table in self.tables())
        return b"".join([text.encode("utf-8", "replace") for text in texts])


class Registry(CollectorRegistry):
    """A registry that knows which of its collectors write their own text."""

    def __init__(self) -> None:
        super().__init__(auto_describe=True)
        self._tables: list[Tables] = []
        self._others: list[Collector] = []

    def register(self, collector: Collector) -> None:
        """Show ``collector``'s metrics; their names must not clash (``ValueError``)."""
        super().register(collector)
        if isinstance(collector, Tables):
            self._tables.append(collector)
        else:
            self._others.append(collector)

    def unregister(self, collector: Collector) -> None:
        """Show them no more."""
        super().unregister(collector)
        if isinstance(collector, Tables):
            self._tables.remove(collector)
        else:
            self._others.remove(collector)

    def render(self, *, open_metrics: bool) -> tuple[bytes, str]:
        """Every metric as text, and its content type. Takes a while: not on the event loop."""
        content_type = CONTENT_TYPE_LATEST if open_metrics else CONTENT_TYPE_PLAIN_0_0_4
        encoder, _ = choose_encoder(content_type)
        ours = [each.text(open_metrics=open_metrics) for each in [*self._tables]]
        return b"".join([*ours, encoder(_Those([*self._others]))]), content_type


class _Those(Collector):
    """Several collectors as one."""

    def __init__(self, collectors: Sequence[Collector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterable[Metric]:
        """What they all show."""
        return chain.from_iterable(each.collect() for each in self._collectors)


def wants_open_metrics(accept: str) -> bool:
    """Whether an ``Accept`` header prefers OpenMetrics to Prometheus' text; pure."""
    try:
        _, content_type = choose_encoder(accept)
    except TypeError:  # it compares versions, and this one is no number
        return False
    return content_type.startswith("application/openmetrics-text")


def _paced(rows: Iterable[Row]) -> Iterator[Row]:
    """``rows``, with a rest after each millisecond's worth of them.

    PERF: while another thread computes, each system call of the event loop's ends with a wait for
    the interpreter. Resting as long as it works, a rendering leaves it half of the time.
    """
    for number, row in enumerate(rows, start=1):
        yield row
        if not number % BATCH:
            time.sleep(REST)


def _head(family: str, kind: str, text: str) -> str:
    return f"# HELP {family} {text}\n# TYPE {family} {kind}\n"


def _labels(names: Values) -> str:
    return ",".join([f'{name}="%s"' for name in names])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
