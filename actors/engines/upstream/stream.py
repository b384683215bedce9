"""From the bytes of an upstream's event stream to a sink: re-framed, counted, never rewritten.

Pure but for the sink that it pushes to. It decides when a stream is complete: at ``[DONE]``, or at
the end of the bytes if every choice that began was given its ``finish_reason`` (a stream cut short
must never look complete).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from actors.engines.contract import Sink
from actors.engines.error_object import is_error
from actors.engines.errors import EngineError, EngineUnavailable
from actors.engines.lenient_json import Undecodable, decode, encode
from actors.engines.llama_answer import UsageSum, is_llama_usage, with_prefill
from actors.engines.refusals import error_of_object
from actors.engines.sse.events import EventKind, StreamEvent, read_event
from actors.engines.sse.frames import EventTooLong, SseFrames, event_end
from actors.engines.sse.runs import EventShape, learn
from actors.engines.tokens import tokens_in_choices

__all__ = ["StreamRelay"]

# Shapes that were learned in vain until a stream is taken for one whose events all differ.
_MOST_SHAPES: Final = 8

# A byte order mark and comment lines before an event's fields; and what such an event begins with.
_PRELUDE: Final = re.compile(rb"(?:\xef\xbb\xbf)?(?::[^\r\n]*(?>\r\n|\n|\r))*")
_PRELUDE_BYTES: Final = b":\xef"
_SILENCE: Final = b":\n\n"
_BROKEN_OFF: Final = "the upstream broke off the answer"
# Comments of one read that are passed on: no server has more to say between two tokens.
_MOST_COMMENTS: Final = 16
# Lines in a row that say nothing (blank ones, comments, fields that nobody reads, empty data),
# taken in one go. Each of them ends: a batch ends where an event does.
_NOTHING: Final = re.compile(
    rb"(?:[\r\n]++|(?!data|event|error)[^\r\n]*+[\r\n]|data:?[ ]?[\r\n])*+"
)
# Bytes of events without a chunk in a row: hours of comments, or an attack.
_MAX_MUTE: Final = 256 * 1024


class StreamRelay:
    """One answer. ``raw`` pushes the events' own bytes, comments too; else their chunk objects.

    Raw events that one read completes are pushed together, but a comment and an event with usage
    each go alone: whoever passes them on treats them differently, and tells a comment by its first
    byte. So comment lines before an event's data are left out, and an event without data, which no
    client is told of, becomes a bare comment: a page that is no event stream goes nowhere. Nothing
    is pushed after ``[DONE]``, and ``[DONE]`` itself is not: the service ends the stream.
    """

    __slots__ = (
        "_began", "_choices", "_finished", "_frames", "_learned", "_mute", "_prefill", "_raw",
        "_shape", "_sink", "_tokens", "_usage", "done",
    )  # fmt: skip

    def __init__(self, sink: Sink, *, raw: bool, choices: int = 0, prefill: str = "") -> None:
        self._sink = sink
        self._choices = choices
        self._prefill = prefill
        self._usage = UsageSum(choices)
        self._raw = raw
        self._frames = SseFrames()
        self._began: set[str] = set()
        self._finished: set[str] = set()
        self._shape: EventShape | None = None
        self._learned = 0
        self._mute = 0
        self._tokens = 0
        self.done = False
        """Whether ``[DONE]`` came."""

    def feed(self, data: bytes) -> bool:
        """Push what ``data`` completes; tell whether a chunk was among it (comments are none).

        Raises the error that an error event tells, ``EngineUnavailable`` for what is no event
        stream.
        """
        if self.done:
            return False
        try:
            batch = self._frames.feed(data)
        except EventTooLong as error:
            raise EngineUnavailable("the upstream's stream can't be read") from error
        if not batch:
            return False
        if self._relay(batch):
            self._mute = 0
            return True
        self._mute += len(batch)
        if self._mute > _MAX_MUTE:
            raise EngineUnavailable("the upstream's stream says nothing")
        return False

    def end(self) -> None:
        """The bytes ended. Raises ``EngineUnavailable`` if the answer had not."""
        if self.done:
            return
        self._relay(self._frames.end())
        complete = bool(self._began) and self._began == self._finished
        if not self.done and not complete:
            raise _error_in(self._frames.rest) or EngineUnavailable(_BROKEN_OFF)
        self._push_usage()

    def _relay(self, batch: bytes) -> bool:
        """Go through ``batch``: recognise runs of tokens, decode whatever else is there."""
        start = at = 0
        heard, shape, comments = False, self._shape, 0
        while at < len(batch) and not self.done:
            run = shape.run(batch, at) if shape is not None else None
            if run is not None:
                at, heard, self._learned = run.end, True, 0
                self._tokens += run.tokens
                continue
            end = event_end(batch, at)
            event = batch[at:end]
            read = read_event(event)
            if (
                self._raw
                and read.kind is EventKind.CHUNK
                and event[0] not in _PRELUDE_BYTES
                and read.chunk.get("usage") is None
            ):
                self._tokens += self._note(read.chunk)
                shape, heard = self._learn(event, read.chunk), True
            else:
                self._flush(batch[start:at])
                if read.kind is EventKind.EMPTY:
                    comments += 1
                if read.kind is EventKind.EMPTY and comments > _MOST_COMMENTS:
                    end = _end_of_nothing(batch, end)
                else:
                    heard = self._alone(event, read) or heard
                start = end
            at = end
        if not self.done:
            self._flush(batch[start:])
        return heard

    def _alone(self, event: bytes, read: StreamEvent) -> bool:
        """Deal with an event that must not be joined with others; tell whether it is a chunk."""
        match read.kind:
            case EventKind.CHUNK:
                tokens = self._note(read.chunk)
                if self._choices and is_llama_usage(read.chunk):
                    self._take_usage(read.chunk, tokens)
                elif self._raw:
                    self._sink.push(event[_prelude_of(event) :], tokens)
                else:
                    self._push(read.chunk, tokens)
                return True
            case EventKind.EMPTY:
                if self._raw:
                    said = event.lstrip(b"\r\n")
                    self._sink.push(said if said.startswith(b":") else _SILENCE, 0)
            case EventKind.DONE:
                self.done = True
                self._push_usage()
            case EventKind.ERROR:
                raise error_of_object(read.chunk)
            case EventKind.BROKEN:
                raise EngineUnavailable("the upstream's stream can't be read")
        return False

    def _take_usage(self, chunk: dict[str, Any], tokens: int) -> None:
        """Keep the usage of one of several choices until the end; pass the rest on."""
        rest = self._usage.take(chunk)
        if rest is not None:
            self._push(rest, tokens)

    def _push_usage(self) -> None:
        usage = self._usage.chunk() if self._choices else None
        if usage is not None:
            self._push(usage, 0)

    def _push(self, chunk: dict[str, Any], tokens: int) -> None:
        """Push a chunk that is not, or not any more, the upstream's own bytes."""
        if self._raw:
            self._sink.push(b"data: %b\n\n" % encode(chunk), tokens)
        else:
            prefill = self._prefill
            told = with_prefill(chunk, prefill, sure=False) if prefill else chunk
            self._sink.push(told, tokens)

    def _flush(self, events: bytes) -> None:
        if events:
            tokens, self._tokens = self._tokens, 0
            self._sink.push(events, tokens)

    def _learn(self, event: bytes, chunk: Mapping[str, Any]) -> EventShape | None:
        """Take ``event`` for the shape of those to come, if it has one and that was of use so far.

        PERF: a shape that no event ever had is worth giving up: learning takes as long as decoding.
        """
        if self._learned >= _MOST_SHAPES:
            return None
        shape = learn(event, chunk)
        if shape is not None:
            self._learned += 1
            self._shape = shape
        return shape

    def _note(self, chunk: Mapping[str, Any]) -> int:
        """Remember which choices began and which were finished; count the chunk's tokens."""
        choices = chunk.get("choices")
        for choice in cast("list[object]", choices) if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                fields = cast("dict[str, Any]", choice)
                index = str(fields.get("index"))
                self._began.add(index)
                if fields.get("finish_reason") is not None:
                    self._finished.add(index)
        return tokens_in_choices(chunk)


def _error_in(rest: bytes) -> EngineError | None:
    """The error that some servers tell in a document instead of an event; ``None`` otherwise."""
    try:
        document: object = decode(rest)
    except Undecodable:
        return None
    if isinstance(document, dict) and is_error(cast("dict[str, Any]", document)):
        return error_of_object(cast("object", document))
    return None


def _end_of_nothing(batch: bytes, start: int) -> int:
    """Where the lines from ``start`` on end that say nothing."""
    found = _NOTHING.match(batch, start)
    return found.end() if found is not None else start


def _prelude_of(event: bytes) -> int:
    """How many bytes of ``event`` come before its first field."""
    found = _PRELUDE.match(event)
    return found.end() if found is not None else 0
