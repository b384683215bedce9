"""What ``top`` shows, made from what the admin API streams. Pure: no terminal, no network."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from actors.cli.follow import seconds
from actors.cli.output import shown

__all__ = ["FIGURES", "Board", "Figure", "InstanceRow", "duration", "short"]

HISTORY: Final = 60
"""Seconds that a sparkline shows."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of the head: its title, the series of its line, and how values are shown."""

    title: str
    series: Sequence[str]


FIGURES: Final = (
    Figure("requests/s", ("requests", "errors")),
    Figure("first token", ("first_token_p50", "first_token_p99")),
    Figure("tokens/s", ("tokens",)),
    Figure("in flight", ("inflight", "connections")),
    Figure("CPU, lag", ("cpu", "loop_lag")),
)
"""The figures of the head, from left to right; the first series of each is its line."""


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One line of the table of instances: what an action needs to know, and what is shown."""

    model: str
    kind: str
    id: str
    drained: bool
    cells: tuple[str, ...]


COLUMNS: Final = (
    "model", "kind", "instance", "state", "in flight", "weight", "first token", "given", "failed",
    "last error",
)  # fmt: skip


@dataclass
class Board:
    """The newest of each topic, and a minute of each series."""

    overview: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tree: Mapping[str, Any] = field(default_factory=dict[str, Any])
    models: Sequence[Mapping[str, Any]] = ()
    lines: dict[str, deque[float]] = field(default_factory=dict[str, "deque[float]"])
    newest: Mapping[str, float | None] = field(default_factory=dict[str, "float | None"])

    def take(self, topic: str, document: Any) -> None:
        """Take in one event of the stream."""
        if topic == "stats":
            self.newest = document["series"]
            for name, value in document["series"].items():
                line = self.lines.setdefault(name, deque(maxlen=HISTORY))
                line.append(value or 0.0)
        elif topic == "tree":
            self.tree = document
        elif topic == "models":
            self.models = document

    def title(self) -> str:
        """Which front-end this is and how it is."""
        if not self.overview:
            return "callboard top"
        found = self.overview
        return f"{found['status']}, process {found['process']}, up {duration(found['uptime'])}"

    def figure(self, figure: Figure) -> str:
        """The newest values of a figure, in words."""
        values = [_value(name, self.newest.get(name)) for name in figure.series]
        return "/".join(values)

    def line(self, figure: Figure) -> list[float]:
        """The last minute of a figure's first series."""
        return [*self.lines.get(figure.series[0], ())]

    def rows(self, wanted: str) -> Iterator[InstanceRow]:
        """The table of instances, of models whose name holds ``wanted``."""
        for model in self.models:
            if wanted in model["id"]:
                yield from _rows(model)


def _rows(model: Mapping[str, Any]) -> Iterator[InstanceRow]:
    before = None
    for each in model["instances"]:
        name = model["id"] if (model["id"], each["kind"]) != before else ""
        before = (model["id"], each["kind"])
        drained = bool(each.get("overrides") and each["overrides"]["drained"])
        most = each["max_concurrency"]
        cells = (
            name,
            each["kind"],
            each["id"],
            "drained" if drained else each["state"],
            str(each["inflight"]) if most is None else f"{each['inflight']}/{most}",
            f"{each['weight']:g}",
            seconds(each.get("first_token")),
            str(each["selections"]),
            str(each["failures"]),
            each["last_error"] or "",
        )
        yield InstanceRow(model["id"], each["kind"], each["id"], drained, (*map(shown, cells),))


def _value(series: str, value: float | None) -> str:
    if value is None:
        return "-"
    if series.startswith("first_token") or series == "loop_lag":
        return seconds(value)
    return f"{value * 100:.0f} %" if series == "cpu" else short(value)


def short(value: float) -> str:
    """A number in at most five characters: ``412``, ``26.4k``, ``1.2M``."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f}{unit}"
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def duration(seconds_: float) -> str:
    """A long duration: ``3 d 04:12``, ``04:12:07``."""
    days, rest = divmod(int(seconds_), 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, left = divmod(rest, 60)
    return f"{days} d {hours:02}:{minutes:02}" if days else f"{hours:02}:{minutes:02}:{left:02}"
