"""The requests that ended last: which instance answered each, and where its time went.

The request's way leaves one tuple for each in a ring's inbox (``telemetry.ended_requests``), and
only while the ``RequestLog`` actor lives: while it is down, requests are not noted, and none waits.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import cycle, repeat
from statistics import median
from typing import Any, Final, TypeAlias, cast

from msgspec import Struct

from actors.engines.pool.tries import answering
from actors.supervision import CallingThreadActor, Child
from http_service.admin.ring import Ring
from http_service.streaming.exchange import InflightRequests
from http_service.telemetry.ended_requests import EndedRequest, RawEnded
from http_service.telemetry.metrics import Metrics

__all__ = [
    "Phase",
    "RequestDetail",
    "RequestLog",
    "Requests",
    "Row",
    "TriedInstance",
    "child_of",
    "detail_of",
    "first_tokens",
    "row_of",
    "wall_offset",
]

SIZE: Final = 2_000
"""Requests that are kept: about 1 MB."""

SAMPLED: Final = 64
"""One in so many streamed requests has its tokens' arrivals kept while none watches."""

ARRIVALS: Final = 250_000
"""Arrivals that are kept of all requests together: 1 MB; the oldest go first."""

MINUTE: Final = 60.0
"""Seconds over which an instance's first tokens are looked at."""

InstanceKey: TypeAlias = tuple[str, str, str]
"""Kind, model and instance."""


class Row(Struct):
    """One request that has ended; times are in seconds, ``null`` is what is not known.

    ``outcome`` is ``success``, or the error's type as in the metrics; ``instance`` is the one that
    answered, or was asked last; ``attempts`` is how many were asked.
    """

    sequence: int
    id: str
    at: float
    endpoint: str | None
    model: str | None
    kind: str | None
    stream: bool
    status: int
    outcome: str
    instance: str | None
    attempts: int
    duration: float
    first_token: float | None
    input_tokens: int | None
    output_tokens: int | None


class Phase(Struct):
    """A part of a request's time, in seconds from its beginning."""

    name: str
    start: float
    end: float


class TriedInstance(Struct):
    """One instance that was asked, in seconds from the request's beginning."""

    instance: str
    start: float
    first_token: float | None
    end: float
    error: str | None


class RequestDetail(Row):
    """One request with its waterfall; ``tokens`` are when they came, where that was kept."""

    phases: list[Phase] = []
    tries: list[TriedInstance] = []
    tokens: list[float] | None = None


class Requests:
    """The log's contents, and who watches them. Any thread, but for what the log itself does."""

    def __init__(self, inflight: InflightRequests, metrics: Metrics) -> None:
        self.ring: Final[Ring[RawEnded, EndedRequest]] = Ring(SIZE, _numbered)
        self._inflight: Final = inflight
        self._metrics: Final = metrics
        self._watched = False
        self._with_arrivals: Final[deque[EndedRequest]] = deque()
        self._arrivals = 0

    def begin(self) -> None:
        """Note requests from now on."""
        self._inflight.note_ended = self.ring.inbox.append
        self.watch(on=self._watched)

    def end(self) -> None:
        """Note none."""
        self._inflight.note_ended = None
        self._metrics.watched = repeat(False)  # noqa: FBT003  # a value, not a flag

    def watch(self, *, on: bool) -> None:
        """Keep every token's arrival from now on; or only those of some requests."""
        self._watched = on
        self._metrics.watched = repeat(True) if on else cycle((True, *[False] * (SAMPLED - 1)))  # noqa: FBT003  # likewise

    def take(self) -> None:
        """Take what has ended, and forget the oldest arrivals beyond what is kept. The log only."""
        before = self.ring.newest
        self.ring.take()
        for ended in self.ring.after(before, SIZE)[0]:
            if ended.arrivals:
                self._with_arrivals.append(ended)
                self._arrivals += len(ended.arrivals)
        while self._arrivals > ARRIVALS or len(self._with_arrivals) > SIZE:
            oldest = self._with_arrivals.popleft().arrivals
            if oldest is not None:
                self._arrivals -= len(oldest)
                del oldest[:]

    def find(self, id_: str) -> EndedRequest | None:
        """The newest request of that id."""
        return next((each for each in reversed(self.ring.all()) if each.id == id_), None)


class RequestLog(CallingThreadActor):
    """Takes what has ended when it is told to, on the thread of its reader."""

    def __init__(self, requests: Requests) -> None:
        super().__init__()
        self._requests = requests

    def on_start(self) -> None:
        """Note requests from now on."""
        self._requests.begin()
        self.lifecycle.watch(lambda _exit: self._requests.end())

    def on_receive(self, message: Any) -> Any:
        """Take what has ended; nothing else is a message of this actor."""
        del message
        self._requests.take()


def child_of(requests: Requests) -> Child:
    """The log as a supervised child."""
    return Child("requests", partial(RequestLog.start, requests))


_make: Final = cast(
    "Callable[[tuple[Any, ...]], EndedRequest]", partial(cast("Any", tuple).__new__, EndedRequest)
)
"""A request of all its fields, in order. PERF: its class makes a Python call."""


def _numbered(sequence: int, raw: RawEnded) -> EndedRequest:
    return _make((sequence, *raw))


def row_of(ended: EndedRequest, wall: float) -> Row:
    """A request as one line; ``wall`` is Unix time less the monotonic clock. Pure."""
    return Row(*_columns(ended, wall))


def _columns(ended: EndedRequest, wall: float) -> tuple[Any, ...]:
    """The fields of a row, in order. PERF: by place; a watched service makes one a request."""
    tries = ended.tries
    before = ended.counted - ended.arrived
    return (
        ended.sequence,
        ended.id,
        round(ended.arrived + wall, 3),
        ended.endpoint,
        ended.model,
        ended.kind,
        ended.request_type == "stream",
        ended.status,
        ended.outcome,
        answering(tries) if tries else ended.instance,
        len(tries) if tries else int(ended.instance is not None),
        round(before + ended.elapsed, 6),
        None if ended.first_token is None else round(before + ended.first_token, 6),
        ended.input_tokens,
        ended.tokens,
    )


def _from(before: float, seconds: float | None) -> float | None:
    return None if seconds is None else round(before + seconds, 6)


def detail_of(ended: EndedRequest, wall: float) -> RequestDetail:
    """A request with its waterfall; as :func:`row_of`."""
    before = ended.counted - ended.arrived
    arrivals = ended.arrivals
    tokens = [round(before + each, 4) for each in arrivals] if arrivals else None
    columns: list[Any] = [*_columns(ended, wall), _phases(ended), _tries(ended), tokens]
    return RequestDetail(*columns)


def _phases(ended: EndedRequest) -> list[Phase]:
    """What followed what; a part that took no time is left out."""
    first = None if ended.first_token is None else ended.counted + ended.first_token
    marks = (
        ("parse", ended.counted),
        ("queue", ended.asked),
        ("instance", first),
        ("tokens" if first is not None else "instance", ended.ended),
    )
    phases: list[Phase] = []
    start = 0.0
    for name, mark in marks:
        end = start if mark is None else round(mark - ended.arrived, 6)
        if end > start:
            phases.append(Phase(name, start, end))
            start = end
    return phases


def _tries(ended: EndedRequest) -> list[TriedInstance]:
    arrived, over = ended.arrived, ended.ended - ended.arrived
    if ended.tries:
        return [
            TriedInstance(
                each.instance,
                round(each.started - arrived, 6),
                None if each.answered is None else round(each.answered - arrived, 6),
                round(over if each.ended is None else each.ended - arrived, 6),
                each.error or (ended.error_type if each.ended is None else None),
            )
            for each in ended.tries
        ]
    if ended.instance is None or ended.asked is None:
        return []
    start = round(ended.asked - arrived, 6)
    first = _from(ended.counted - arrived, ended.first_token)
    return [TriedInstance(ended.instance, start, first, round(over, 6), ended.error_type)]


def first_tokens(newest_last: Sequence[EndedRequest], now: float) -> Mapping[InstanceKey, float]:
    """The median first token of each instance in the last minute, by the monotonic clock; pure."""
    seen: dict[InstanceKey, list[float]] = defaultdict(list)
    for each in _since(newest_last, now - MINUTE):
        # The one that answered, not one that was tried before it.
        instance = answering(each.tries) if each.tries else each.instance
        if each.first_token is not None and instance and each.kind and each.model:
            seen[str(each.kind), each.model, instance].append(each.first_token)
    return {key: round(median(values), 6) for key, values in seen.items()}


def _since(newest_last: Sequence[EndedRequest], begin: float) -> Iterable[EndedRequest]:
    for each in reversed(newest_last):
        if each.ended < begin:
            return
        yield each


def wall_offset() -> float:
    """Unix time less the monotonic clock."""
    return time.time() - time.monotonic()
