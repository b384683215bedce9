"""From the bytes of an upstream's event stream to a sink: re-framed, counted, never rewritten.

Pure but for the sink that it pushes to. It decides when a stream is complete: at ``[DONE]``, or at
the end of the bytes if every choice that began was given its ``finish_reason`` (a stream cut short
must never look complete).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from actors.engines.contract import Sink
from actors.engines.errors import EngineUnavailable
from actors.engines.sse_events import EventKind, read_event
from actors.engines.sse_frames import EventTooLong, SseFrames
from actors.engines.tokens import tokens_in_choices

__all__ = ["StreamRelay"]


class StreamRelay:
    """One answer. ``raw`` pushes each event's own bytes, comments too; else its chunk object.

    Nothing is pushed after ``[DONE]``, and ``[DONE]`` itself is not: the service ends the stream.
    """

    def __init__(self, sink: Sink, *, raw: bool) -> None:
        self._sink = sink
        self._raw = raw
        self._frames = SseFrames()
        self._began: set[str] = set()
        self._finished: set[str] = set()
        self.done = False
        """Whether ``[DONE]`` came."""

    def feed(self, data: bytes) -> bool:
        """Push what ``data`` completes; tell whether a chunk was among it (comments are none).

        Raises ``EngineUnavailable`` for an error event and for what is no event stream.
        """
        try:
            events = self._frames.feed(data)
        except EventTooLong as error:
            raise EngineUnavailable("the upstream's stream can't be read") from error
        pushed = [self._push(event) for event in events]
        return any(pushed)

    def end(self) -> None:
        """The bytes ended. Raises ``EngineUnavailable`` if the answer had not."""
        if self.done:
            return
        for event in self._frames.end():
            self._push(event)
        complete = bool(self._began) and self._began == self._finished
        if not self.done and not complete:
            raise EngineUnavailable("the upstream broke off the answer")

    def _push(self, event: bytes) -> bool:
        if self.done:
            return False
        read = read_event(event)
        match read.kind:
            case EventKind.CHUNK:
                self._note(read.chunk)
                chunk = event if self._raw else read.chunk
                self._sink.push(chunk, tokens_in_choices(read.chunk))
                return True
            case EventKind.EMPTY:
                if self._raw:
                    self._sink.push(event, 0)
            case EventKind.DONE:
                self.done = True
            case EventKind.ERROR:
                raise EngineUnavailable("the upstream reported an error while it generated")
            case EventKind.BROKEN:
                raise EngineUnavailable("the upstream's stream can't be read")
        return False

    def _note(self, chunk: Mapping[str, Any]) -> None:
        """Remember which choices began and which were finished."""
        choices = chunk.get("choices")
        for choice in cast("list[object]", choices) if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                fields = cast("dict[str, Any]", choice)
                index = str(fields.get("index"))
                self._began.add(index)
                if fields.get("finish_reason") is not None:
                    self._finished.add(index)
