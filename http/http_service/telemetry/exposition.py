"""Tables of samples, and their text: what is shown of many models costs microseconds for each.

PERF: prometheus-client makes objects of each sample before it writes a line of it. A table is
written with one format operation a row, a histogram of twenty buckets included. Both forms are
equal: :meth:`Tables.collect` is what the client library shows, :meth:`Tables.lines` what we write.

Five thousand models make 28 MB of text, which is never in one piece: joining or encoding so much is
one step for the interpreter, and the event loop would wait expires_at it ends.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Final, TypeAlias

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

__all__ = [
    "PIECE_BYTES",
    "Histograms",
    "MetricsRegistry",
    "Numbers",
    "Table",
    "Tables",
    "content_type",
    "cut",
    "wants_open_metrics",
]

LABELS_MARK: Final = "\0"
"""Stands for the labels in a template; no exposition has it anywhere else."""

PIECE_BYTES: Final = 64 * 1024
"""Bytes of a piece of text: copying them takes some microseconds."""

WORK_SECONDS: Final = 0.0005
"""Seconds of this thread's own work between two rests."""

REST_SECONDS: Final = 0.001
"""Seconds of a rest."""

END: Final = b"# EOF\n"
"""How OpenMetrics end."""

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

    def lines(self, *, open_metrics: bool) -> Iterator[str]:
        """As text, row by row."""
        family = self.name.removesuffix("_total") if open_metrics else self.name
        yield _head(family, "counter" if self.counts else "gauge", self.help)
        line = f"{self.name}{{{_labels(self.labels)}}} %s\n"
        for values, number in self.rows:
            yield line % (*map(_escaped, values), float(number))


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

    def lines(self, *, open_metrics: bool) -> Iterator[str]:
        """As text, row by row."""
        del open_metrics
        yield _head(self.name, "histogram", self.help)
        template, labels = self._template(), _labels(self.labels)
        for values, counts, total in self.rows:
            # A label's own "%" must outlive the second formatting.
            filled = (labels % (*map(_escaped, values),)).replace("%", "%%")
            sums = [*accumulate(counts)]
            yield template.replace(LABELS_MARK, filled) % (*sums, sums[-1], total)

    def _ends(self) -> list[str]:
        return [*map(str, self.bounds), "+Inf"]

    def _template(self) -> str:
        name = self.name
        buckets = [f'{name}_bucket{{le="{end}",{LABELS_MARK}}} %d.0\n' for end in self._ends()]
        return "".join(
            [*buckets, f"{name}_count{{{LABELS_MARK}}} %d.0\n", f"{name}_sum{{{LABELS_MARK}}} %s\n"]
        )


Table: TypeAlias = Numbers | Histograms


class Tables(Collector):
    """A collector that shows tables."""

    @abstractmethod
    def tables(self) -> Iterable[Table]:
        """Every table as it is now. Any thread."""

    def collect(self) -> Iterator[Metric]:
        """As the client library has them."""
        return (table.metric() for table in self.tables())

    def lines(self, *, open_metrics: bool) -> Iterator[bytes]:
        """As text, row by row."""
        for table in self.tables():
            for line in table.lines(open_metrics=open_metrics):
                yield line.encode("utf-8", "replace")


class MetricsRegistry(CollectorRegistry):
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

    def pieces(self, *, open_metrics: bool) -> Iterator[bytes]:
        """Every metric as text, in pieces of :data:`PIECE_BYTES`; only the last one is shorter.

        Takes a while, and rests in between: not on the event loop.
        """
        return cut(_paced(self._texts(open_metrics=open_metrics)))

    def render(self, *, open_metrics: bool) -> tuple[bytes, str]:
        """The same in one piece, and its content type: for what is not large."""
        return b"".join(self.pieces(open_metrics=open_metrics)), content_type(
            open_metrics=open_metrics
        )

    def _texts(self, *, open_metrics: bool) -> Iterator[bytes]:
        for ours in [*self._tables]:
            yield from ours.lines(open_metrics=open_metrics)
        encode, _ = choose_encoder(content_type(open_metrics=open_metrics))
        for family in chain.from_iterable(collector.collect() for collector in [*self._others]):
            yield encode(_One(family)).removesuffix(END)
        if open_metrics:
            yield END


class _One(Collector):
    """One family of metrics as a collector: the client library writes collectors."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterable[Metric]:
        """That one."""
        return (self._family,)


def content_type(*, open_metrics: bool) -> str:
    """The content type of either format; pure."""
    return CONTENT_TYPE_LATEST if open_metrics else CONTENT_TYPE_PLAIN_0_0_4


def wants_open_metrics(accept: str) -> bool:
    """Whether an ``Accept`` header prefers OpenMetrics to Prometheus' text; pure."""
    try:
        _, content_type = choose_encoder(accept)
    except TypeError:  # it compares versions, and this one is not a number
        return False
    return content_type.startswith("application/openmetrics-text")


def cut(texts: Iterable[bytes]) -> Iterator[bytes]:
    """``texts`` one after the other, in pieces of :data:`PIECE_BYTES`; the last may be shorter."""
    held: list[bytes] = []
    size = 0
    for text in texts:
        for begin in range(0, len(text), PIECE_BYTES):
            part = text[begin : begin + PIECE_BYTES]
            held.append(part)
            size += len(part)
            if size >= PIECE_BYTES:
                joined = b"".join(held)
                yield joined[:PIECE_BYTES]
                held, size = [joined[PIECE_BYTES:]], size - PIECE_BYTES
    if size:
        yield b"".join(held)


def _paced(texts: Iterable[bytes]) -> Iterator[bytes]:
    """``texts``, with a rest after each half millisecond's work.

    PERF: while another thread computes, each system call of the event loop's ends with a wait for
    the interpreter. Resting twice as long as it works, a rendering leaves the loop most of the
    time. Only this thread's own work counts: it rests no more often where the machine is busy.
    """
    worked = time.thread_time()
    for text in texts:
        yield text
        now = time.thread_time()
        if now - worked >= WORK_SECONDS:
            time.sleep(REST_SECONDS)
            worked = now


def _head(family: str, kind: str, text: str) -> str:
    return f"# HELP {family} {text}\n# TYPE {family} {kind}\n"


def _labels(names: Values) -> str:
    return ",".join([f'{name}="%s"' for name in names])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
