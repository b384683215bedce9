"""An upstream's answer that is not JSON: passed on as it comes, piece by piece.

Pure but for the sink that it pushes to. Sound, pictures and text pass whatever they say. Of an
event stream the single events are looked at, because some servers tell a failure in one: it must
not pass for an answer, and what comes before the first event says nothing, so that until then
another instance can answer instead.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from actors.engines.contract import Sink
from actors.engines.errors import EngineUnavailable
from actors.engines.media import OCTETS, Media
from actors.engines.refusals import error_of_object
from actors.engines.sse import EventKind, EventTooLong, SseFrames, event_end, read_event
from actors.engines.upstream.stream_relay import error_in

__all__ = ["EventRelay", "PieceRelay", "media_relay"]

_EVENTS: Final = "text/event-stream"
_PAGES: Final = frozenset(("text/html", "application/xhtml+xml"))
_TYPE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LONGEST_TYPE: Final = 256

_PAGE: Final = "the upstream answered with a page"
_UNREADABLE: Final = "the upstream's stream can't be read"
_NOTHING: Final = "the upstream's stream says nothing"

# Bytes of an event from which on it is a picture or a sound, and no error.
_LONG: Final = 64 * 1024


def media_relay(headers: Mapping[bytes, bytes], sink: Sink) -> EventRelay | PieceRelay | None:
    """What passes on an answer with these ``headers``; ``None`` for JSON, which is read first.

    Raises ``EngineUnavailable`` for a web page: it comes from whatever stands before the server.
    """
    content_type = _type_of(headers.get(b"content-type", b""))
    essence = content_type.partition(";")[0].rstrip().lower()
    if essence == "application/json" or essence.endswith("+json"):
        return None
    if essence in _PAGES:
        raise EngineUnavailable(_PAGE)
    relay = EventRelay if essence == _EVENTS else PieceRelay
    return relay(sink, content_type)


def _type_of(value: bytes) -> str:
    """The type that a header says, if it is one that can be passed on."""
    text = value.decode("latin-1").strip()
    if len(text) > _LONGEST_TYPE or not (text.isascii() and text.isprintable()):
        return OCTETS
    return text if _TYPE.match(text) else OCTETS


class PieceRelay:
    """Pushes what comes as it comes."""

    __slots__ = ("_content_type", "_sink", "_started", "done")

    def __init__(self, sink: Sink, content_type: str) -> None:
        self._sink = sink
        self._content_type = content_type
        self._started = self.done = False

    def feed(self, data: bytes) -> bool:
        """Push ``data``; it is output."""
        self._started = True
        self._sink.push(Media(data, self._content_type))
        return True

    def end(self) -> None:
        """It is whole, even if it is empty: the text of a silence."""
        if not self._started:
            self._sink.push(Media(b"", self._content_type))
        self._sink.finish()


class EventRelay:
    """Pushes whole events as they come, from the first one on that has data."""

    __slots__ = ("_content_type", "_frames", "_sink", "_started", "done")

    def __init__(self, sink: Sink, content_type: str) -> None:
        self._sink = sink
        self._content_type = content_type
        self._frames = SseFrames()
        self._started = self.done = False

    def feed(self, data: bytes) -> bool:
        """Push the events that ``data`` completes; returns whether the answer has begun.

        Raises the error that an event tells, and ``EngineUnavailable`` for one without an end.
        """
        try:
            self._take(self._frames.feed(data))
        except EventTooLong as error:
            raise EngineUnavailable(_UNREADABLE) from error
        return self._started

    def end(self) -> None:
        """The response ended. Raises ``EngineUnavailable`` if there was no event in it."""
        self._take(self._frames.end())
        rest = self._frames.rest
        if not self._started:
            raise error_in(rest) or EngineUnavailable(_NOTHING)
        if rest:
            self._sink.push(Media(rest, self._content_type))
        self._sink.finish()

    def _take(self, batch: bytes) -> None:
        """Push the events of ``batch``, up to one that tells an error."""
        start = at = 0
        try:
            while at < len(batch):
                end = event_end(batch, at)
                if not self._says_something(batch[at:end]) and not self._started:
                    start = end
                else:
                    self._started = True
                at = end
        finally:
            if start < at:
                self._sink.push(Media(batch[start:at], self._content_type))

    def _says_something(self, event: bytes) -> bool:
        """Whether ``event`` has data. Raises the error that it tells.

        PERF: pictures of megabytes come in events; they are not decoded.
        """
        if len(event) > _LONG:
            return True
        read = read_event(event)
        if read.kind is EventKind.ERROR:
            raise error_of_object(read.chunk)
        return read.kind is not EventKind.EMPTY
