"""Cut a stream of bytes at the ends of server-sent events: pure, incremental, nothing decoded.

Source: WHATWG HTML, 9.2.5 "Parsing an event stream" (lines end in LF, CRLF or CR; a blank line ends
an event). Invariants, each tested by property:

1. all batches joined, and :attr:`SseFrames.rest`, are the bytes that were fed;
2. a batch ends where an event ends;
3. where the input was cut into pieces never changes the events, but for blank lines between them.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_EVENT_BYTES", "EventTooLong", "SseFrames", "event_end", "split_events"]

# A token is some hundred bytes; an event with log-probabilities or a tool's file some hundred kB.
MAX_EVENT_BYTES: Final = 4 * 1024 * 1024

# The end of a line, then a blank line. Atomic groups: a CRLF must never be read as CR and LF.
_BOUNDARY: Final = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
# A boundary that reaches back over the seam of two pieces begins at most this far before it.
_LONGEST_BOUNDARY: Final = 4


class EventTooLong(ValueError):
    """An event did not end within the limit: not an event stream, or an attack."""


class SseFrames:
    """Takes bytes as they arrive, gives whole events, each with the blank line that ends it."""

    __slots__ = ("_buffer", "_max_event", "_searched")

    def __init__(self, max_event: int = MAX_EVENT_BYTES) -> None:
        self._buffer = b""
        # PERF: what is before this was searched already; a long event is not searched again.
        self._searched = 0
        self._max_event = max_event

    @property
    def rest(self) -> bytes:
        """What was fed and belongs to no complete event yet."""
        return self._buffer

    def feed(self, data: bytes) -> bytes:
        """The events that ``data`` completes, joined; empty if none. Raises `EventTooLong`."""
        # PERF: nearly every read ends where an event does.
        if not self._buffer and data.endswith((b"\n\n", b"\r\n\r\n")):
            return data
        buffer = self._buffer + data
        end = _last_boundary(buffer, self._searched)
        self._keep(buffer[end:])
        return buffer[:end]

    def end(self) -> bytes:
        """The events that only the end of the stream completes; afterwards :attr:`rest` is left.

        An event without its blank line is never dispatched (WHATWG), so it stays in ``rest``.
        """
        if _BOUNDARY.search(self._buffer) is None:
            return b""
        event, self._buffer = self._buffer, b""
        return event

    def _keep(self, rest: bytes) -> None:
        if len(rest) > self._max_event:
            self._buffer = b""
            raise EventTooLong(f"an event is longer than {self._max_event} bytes")
        self._buffer = rest
        self._searched = max(0, len(rest) - _LONGEST_BOUNDARY)


def event_end(batch: bytes, start: int) -> int:
    """Where the event that begins at ``start`` ends; the end of ``batch`` if it does not say."""
    if b"\r" not in batch:
        found = batch.find(b"\n\n", start)
        return found + 2 if found >= 0 else len(batch)
    match = _BOUNDARY.search(batch, start)
    return match.end() if match is not None else len(batch)


def split_events(batch: bytes) -> list[bytes]:
    """The single events of ``batch``; joined they are ``batch``."""
    events: list[bytes] = []
    start = 0
    while start < len(batch):
        end = event_end(batch, start)
        events.append(batch[start:end])
        start = end
    return events


def _last_boundary(buffer: bytes, searched: int) -> int:
    """Where the last event that is complete ends, 0 if none is."""
    if b"\r" not in buffer:
        return max(buffer.rfind(b"\n\n", searched) + 2, 0) if b"\n\n" in buffer else 0
    end = 0
    for match in _BOUNDARY.finditer(buffer, searched):
        if match.end() == len(buffer) and buffer.endswith(b"\r"):
            break  # the LF of this CRLF may be in the next piece
        end = match.end()
    return end
