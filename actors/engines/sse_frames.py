"""Cut a stream of bytes into server-sent events: pure, incremental, nothing decoded.

Source: WHATWG HTML, 9.2.5 "Parsing an event stream" (lines end in LF, CRLF or CR; a blank line ends
an event). Invariants, each tested by property:

1. the events joined, and :attr:`SseFrames.rest`, are the bytes that were fed;
2. where the input was cut into pieces never changes the events.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_EVENT_BYTES", "EventTooLong", "SseFrames"]

# A token is some hundred bytes; an event with log-probabilities or a tool's file some hundred kB.
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024

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

    def feed(self, data: bytes) -> list[bytes]:
        """The events that ``data`` completes, in order. Raises :class:`EventTooLong`."""
        buffer = self._buffer + data if self._buffer else data
        events: list[bytes] = []
        start, search = 0, self._searched
        while (match := _BOUNDARY.search(buffer, search)) is not None:
            end = match.end()
            if end == len(buffer) and buffer.endswith(b"\r"):
                break  # the LF of this CRLF may be in the next piece
            events.append(buffer[start:end])
            start = search = end
        self._keep(buffer[start:])
        return events

    def end(self) -> list[bytes]:
        """The events that only the end of the stream completes; afterwards :attr:`rest` is left.

        An event without its blank line is never dispatched (WHATWG), so it stays in ``rest``.
        """
        if _BOUNDARY.search(self._buffer) is None:
            return []
        event, self._buffer = self._buffer, b""
        return [event]

    def _keep(self, rest: bytes) -> None:
        if len(rest) > self._max_event:
            self._buffer = b""
            raise EventTooLong(f"an event is longer than {self._max_event} bytes")
        self._buffer = rest
        self._searched = max(0, len(rest) - _LONGEST_BOUNDARY)
