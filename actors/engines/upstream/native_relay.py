"""An upstream's event stream in a dialect that it speaks: passed on untouched, but for its ends.

Pure but for the sink that it pushes to. It knows little of a dialect (:data:`_FACTS`): which events
are output, which one completes a stream, which one says that it failed. A stream cut short must
never look complete, and nothing is pushed before the first output, so that until then another
instance can answer instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from actors.engines.contract import Sink
from actors.engines.dialect import Dialect, Native
from actors.engines.errors import EngineError, EngineUnavailable
from actors.engines.lenient_json import DICT
from actors.engines.refusals import error_of_object
from actors.engines.sse import (
    MAX_EVENT_BYTES,
    EventKind,
    EventTooLong,
    SseFrames,
    data_of,
    event_end,
    read_event,
)
from actors.engines.upstream.stream_relay import error_in, lenient

__all__ = ["NativeRelay"]

# Bytes of comments and pings before the first output: hours of them, or an attack.
_MAX_MUTE: Final = 256 * 1024
_SILENCE: Final = b":\n\n"
_NAME: Final = re.compile(rb"(?:^|[\r\n])event: ?([^\r\n]*)")

_START: Final = re.compile(rb"event: [a-z_.]+\ndata: (?=[^\r\n]*\n\n)")
_LINES: Final = 3
"""Those of an event that begins so: its name, its data, a blank one."""
_NOTHING: Final = b"\0"
"""What no event begins with."""

_BROKEN_OFF: Final = "the upstream broke off the answer"
_UNREADABLE: Final = "the upstream's stream can't be read"
_MUTE: Final = "the upstream's stream says nothing"


class _Facts(NamedTuple):
    """The events of a dialect: what ``deltas`` end with, and the names of the others."""

    deltas: bytes
    outputs: frozenset[bytes]
    """What else may be the first output: the end of something that was empty."""
    ends: frozenset[bytes]
    failures: frozenset[bytes]


_FACTS: Final[Mapping[Dialect, _Facts]] = MappingProxyType({
    Dialect.MESSAGES: _Facts(
        deltas=b"block_delta",
        outputs=frozenset((b"content_block_stop", b"message_delta")),
        ends=frozenset((b"message_stop",)),
        failures=frozenset((b"error",)),
    ),
    Dialect.RESPONSES: _Facts(
        deltas=b".delta",
        outputs=frozenset((b"response.output_item.done",)),
        ends=frozenset((b"response.completed", b"response.incomplete")),
        failures=frozenset((b"response.failed", b"error")),
    ),
})  # fmt: skip


class NativeRelay:
    """An event stream of ``dialect``, pushed as ``Native`` bytes.

    Events that one read completes are pushed together; the first ones, which announce the answer,
    with the first output. Until then a comment or a ping is a bare comment. Nothing is pushed after
    the event that completes the stream.
    """

    __slots__ = ("_facts", "_frames", "_mute", "_opening", "_same", "_sink", "_started", "done")

    def __init__(self, sink: Sink, dialect: Dialect) -> None:
        self._sink = sink
        self._facts = _FACTS[dialect]
        self._frames = SseFrames()
        self._opening = bytearray()
        """The events before the first output."""
        self._started = False
        self._mute = 0
        self._same = _NOTHING
        """How the last delta began: its name, and that its data come next."""
        self.done = False
        """Whether the event came that completes the stream."""

    def feed(self, data: bytes) -> bool:
        """Push what ``data`` completes; returns whether the answer has begun.

        Raises the error that an error event tells, ``EngineUnavailable`` for what is not an event
        stream of the dialect.
        """
        # PERF: a paced stream brings one event at a time, like the one before it.
        if (
            data.startswith(self._same)
            and data.find(b"\n", len(self._same)) == len(data) - 2
            and data.endswith(b"\n\n")
            and data.find(b"\r") < 0
            and not self._frames.buffer
        ):
            self._sink.push(Native(data), 1)
            return True
        try:
            batch = self._frames.feed(data)
        except EventTooLong as error:
            raise EngineUnavailable(_UNREADABLE) from error
        self._take(batch)
        return self._started

    def end(self) -> None:
        """The bytes ended. Raises ``EngineUnavailable`` if the answer had not."""
        if not self.done:
            self._take(self._frames.end())
        if not self.done:
            raise error_in(self._frames.rest) or EngineUnavailable(_BROKEN_OFF)
        self._sink.finish()

    def _take(self, batch: bytes) -> None:
        """Push the whole events of ``batch``."""
        start = at = tokens = 0
        size = len(batch)
        runs = True
        try:
            while at < size and not self.done:
                if runs and batch.startswith(self._same, at):
                    run = self._run(batch, at)
                    if run is not None:
                        at, more = run
                        tokens += more
                        continue
                    runs = False  # once a batch: it may be long
                end = event_end(batch, at)
                name = self._name_of(batch[at:end])
                if name.endswith(self._facts.deltas):
                    tokens += 1
                    self._started = True
                    self._same = _start_of(batch, at) or self._same
                elif name in self._facts.outputs or self.done:
                    self._started = True
                elif not self._started:
                    self._open(name, batch[at:end])
                    start = end
                at = end
        finally:  # an error event ends what came before it
            if start < at:
                self._push(batch[start:at], tokens)

    def _run(self, batch: bytes, start: int) -> tuple[int, int] | None:
        """Where the deltas of one name end that begin at ``start``, and how many they are.

        ``None`` where other events are among them. PERF: they are counted, not looked at.
        """
        boundary = b"\n\n" + self._same
        last = batch.rfind(boundary, start)
        end = batch.find(b"\n\n", start if last < 0 else last + 2)
        if end < 0 or batch.find(b"\r", start, end) >= 0:
            return None
        deltas = 1 + batch.count(boundary, start)
        return (end + 2, deltas) if batch.count(b"\n", start, end + 2) == _LINES * deltas else None

    def _push(self, events: bytes, tokens: int) -> None:
        if self._opening:
            events, self._opening = bytes(self._opening) + events, bytearray()
        self._sink.push(Native(events), tokens)

    def _open(self, name: bytes, event: bytes) -> None:
        """Keep an event that comes before the first output; of a ping only that it came."""
        if name and name != b"ping":
            self._opening += event
            if len(self._opening) > MAX_EVENT_BYTES:
                raise EngineUnavailable(_UNREADABLE)
            return
        self._mute += len(event)
        if self._mute > _MAX_MUTE:
            raise EngineUnavailable(_MUTE)
        self._sink.push(_SILENCE, 0)

    def _name_of(self, event: bytes) -> bytes:
        """The name of ``event``, empty where no client gets it; notes the one that is the end.

        Raises the error that it tells.
        """
        found = _NAME.search(event)
        name = _unnamed(event) if found is None else found[1].strip()
        facts = self._facts
        if name in facts.failures:
            raise _failure(event)
        if name in facts.ends and data_of(event):
            self.done = True
        return name


def _start_of(batch: bytes, at: int) -> bytes:
    """How the event at ``at`` begins, up to its data; empty unless it is as most servers write it.

    That line and one of data: no JSON holds a line's end, so no other event hides in it.
    """
    found = _START.match(batch, at)
    return b"" if found is None else found[0]


def _unnamed(event: bytes) -> bytes:
    """The type that the data of an event without a name gives itself; empty for a comment."""
    read = read_event(event)
    match read.kind:
        case EventKind.CHUNK:
            name = read.chunk.get("type")
            return name.encode() if isinstance(name, str) else b"?"
        case EventKind.ERROR:
            raise error_of_object(read.chunk)
        case EventKind.BROKEN:
            raise EngineUnavailable(_UNREADABLE)
        case EventKind.EMPTY | EventKind.DONE:
            return b""


def _failure(event: bytes) -> EngineError:
    """The error that ``event`` tells: on its own, or within the response that failed."""
    document: Any = lenient(data_of(event))
    response = document.get("response") if isinstance(document, DICT) else None
    return error_of_object(response if isinstance(response, DICT) else document)
