"""An upstream's event stream on its way to a sink: re-framed, counted, never rewritten.

Pure but for the sink that it pushes to. It decides when a stream is complete: at ``[DONE]``, or at
the end of the bytes if every choice that began was given its ``finish_reason`` (a stream cut short
must never look complete).
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from actors.engines.contract import Sink
from actors.engines.dialect import ReadEvents
from actors.engines.error_object import is_error
from actors.engines.errors import AnswerTooLong, EngineError, EngineUnavailable
from actors.engines.lenient_json import DICT, LIST, Undecodable, decode, encode
from actors.engines.llama_dialect import UsageSum, is_llama_usage, with_prefill
from actors.engines.refusals import error_of_object
from actors.engines.sse import (
    MAX_EVENT_BYTES,
    NEAR,
    EventKind,
    EventTooLong,
    SseFrames,
    end_of_ignored_lines,
    event_end,
    prelude_of,
    read_event,
)
from actors.engines.tokens import OUTPUT_FIELDS
from actors.engines.upstream.token_template import (
    JSON_STRING,
    TokenTemplate,
    is_utf8,
    template_of,
)

__all__ = ["StreamRelay", "error_in", "lenient"]

# Bytes of a stream that are held in memory where somebody folds it: as many as of a whole answer.
_MAX_ANSWER: Final = MAX_EVENT_BYTES
# Shapes that were learned in vain until a stream is taken for one whose events all differ.
_MOST_SHAPES: Final = 8
_EVENT_ENDS: Final = (b"\n\n", b"\r\n\r\n")
_DONE: Final = b"data: [DONE]\n\n"
_SILENCE: Final = b":\n\n"
# Comments of one read that are passed on: no server has more to say between two tokens.
_MOST_COMMENTS: Final = 16
# Bytes of events without a chunk in a row: hours of comments, or an attack.
_MAX_MUTE: Final = 256 * 1024
_BROKEN_OFF: Final = "the upstream broke off the answer"
_UNREADABLE: Final = "the upstream's stream can't be read"
_TOO_LONG: Final = "the upstream's answer is too long"


class StreamRelay:
    """An event stream. ``raw`` pushes the events' own bytes, comments too; else the chunk objects,
    which somebody folds: so many bytes of them as a whole answer may have.

    Raw events that one read completes are pushed together, but a comment and an event with usage
    each go alone: whoever passes them on treats them differently, and tells a comment by its first
    byte. So comment lines before an event's data are left out, and an event without data, which no
    client is told of, becomes a bare comment: a page that is no event stream goes nowhere. Nothing
    is pushed after ``[DONE]``, and ``[DONE]`` itself is not: the service ends the stream.
    """

    __slots__ = (
        "_alone", "_choices", "_comments", "_ends", "_frames", "_learned", "_mute", "_prefill",
        "_raw", "_single", "_sink", "_size", "_template", "_usage", "done",
    )  # fmt: skip

    def __init__(self, sink: Sink, *, raw: bool, choices: int = 0, prefill: str = "") -> None:
        self._sink = sink
        self._raw = raw
        self._choices = choices
        self._prefill = prefill
        self.done = False
        """Whether ``[DONE]`` came."""
        # PERF: there are thousands of streams; what most of them never need is made when needed.
        self._frames = None if raw else SseFrames()
        self._usage: UsageSum | None = None
        self._alone: ReadEvents | None = None
        """An event that was just read, and must not be joined with others."""
        self._ends: dict[str, bool] = {}
        """The choices that began, and whether each is finished."""
        self._template: TokenTemplate | None = None
        self._single: TokenTemplate | None = None
        """The template, where a read that ends with it surely ends an event."""
        self._learned = self._comments = self._mute = self._size = 0

    def feed(self, data: bytes, *, whole: bool = False) -> bool:
        """Push what ``data`` completes; tell whether a chunk was among it (comments are none).

        Runs of tokens are recognised, whatever else is there is decoded; ``whole`` events need no
        framing. Raises the error that an error event tells, ``EngineUnavailable`` for what is no
        event stream.
        """
        # PERF: most reads of a paced stream are one event of the known template; nothing is called
        # for it that is not C. It is what the rest of this method would find.
        single = self._single
        if (
            single is not None
            and self._frames is None
            and data.startswith(single.before)
            and data.endswith(single.after)
            and JSON_STRING.fullmatch(data, len(single.before), len(data) - len(single.after))
            and (data.isascii() or is_utf8(data))
        ):
            self._mute = self._learned = 0
            self._sink.push(data, 1 if len(data) > single.size else 0)
            return True
        return self._feed_events(data, whole=whole)

    def _feed_events(self, data: bytes, *, whole: bool) -> bool:
        """:meth:`feed` for any number of events, or parts of one."""
        # PERF: nearly every read ends where an event does.
        if not whole and (self._frames is not None or not data.endswith(_EVENT_ENDS)):
            data = self._framed(data)
        start = at = tokens = self._comments = 0
        size, heard = len(data), False
        while at < size and not self.done:
            run = None if self._template is None else self._template.run(data, at)
            if run is not None:
                at, more = run
                tokens, heard, self._learned = tokens + more, True, 0
                continue
            # PERF: where nearly every event ends; as ``event_end`` finds it.
            end = data.find(b"\n\n", at, at + NEAR) + 2
            if end < 2 or data.find(b"\r", at, end) >= 0:
                end = event_end(data, at)
            plain = self._read_plain(data[at:end])
            alone, self._alone = self._alone, None
            if plain is None or alone is not None:
                if start < at:
                    self._sink.push(ReadEvents(data[start:at]), tokens)
                if plain is None or alone is None:
                    end, told = self._read_other(data, at, end)
                    heard = heard or told
                else:
                    heard = True
                    self._sink.push(alone, plain)
                start, tokens = end, 0
            else:
                tokens, heard = tokens + plain, True
            at = end
        if start < at:
            self._sink.push(ReadEvents(data[start:] if start else data), tokens)
        if heard:
            self._mute = 0
            return True
        return self._muted(size)

    def end(self) -> None:
        """The bytes ended. Raises ``EngineUnavailable`` if the answer had not."""
        if not self.done:
            rest = b""
            if self._frames is not None:
                self.feed(self._frames.end(), whole=True)
                rest = self._frames.rest
            complete = bool(self._ends) and all(self._ends.values())
            if not self.done and not complete:
                raise error_in(rest) or EngineUnavailable(_BROKEN_OFF)
            self._push_usage()
        self._sink.finish()

    def _framed(self, data: bytes) -> bytes:
        """The whole events that ``data`` completes."""
        if not self._raw:
            self._size += len(data)
            if self._size > _MAX_ANSWER:
                raise AnswerTooLong(_TOO_LONG)
        frames = self._frames or SseFrames()
        try:
            batch = frames.feed(data)
        except EventTooLong as error:
            raise EngineUnavailable(_UNREADABLE) from error
        self._frames = frames if frames.buffer or not self._raw else None
        return batch

    def _read_plain(self, event: bytes) -> int | None:
        """The tokens of ``event`` if it is a chunk that may be joined with its neighbours.

        It is ``_alone`` then if it has usage. ``None`` if it is anything else, or has to be looked
        at more closely.
        """
        line = event.rstrip(b"\r\n")
        # PERF: ``find``, for ``in`` makes an exception of bytes that it looks for (CPython 3.11).
        if (
            not (self._raw and line.startswith(b"data:"))
            or line.endswith(b"[DONE]")
            or line.find(b"\n") >= 0
            or line.find(b"\r") >= 0
        ):
            return None
        chunk: Any
        try:
            chunk = orjson.loads(line[5:])
        except orjson.JSONDecodeError:
            chunk = lenient(line[5:])
        if (
            not isinstance(chunk, DICT)
            or "choices" not in chunk
            or chunk.get("error")
            or chunk.get("object") == "error"
        ):
            return None
        usage = chunk.get("usage")
        if usage is not None and self._choices:
            return None
        tokens = self._note(chunk)
        if usage is not None:
            self._alone = alone = ReadEvents(event)
            count = usage.get("completion_tokens") if isinstance(usage, DICT) else None
            if type(count) is int:  # not a bool
                alone.completion_tokens = count
                alone.only_usage = not chunk["choices"]
            return tokens
        # PERF: a shape that no event ever had is worth giving up: learning takes as long as
        # decoding.
        if tokens == 1 and self._learned < _MOST_SHAPES:
            template = template_of(event, chunk)
            if template is not None:
                self._learned += 1
                self._template = template
                self._single = template if template.after.endswith(_EVENT_ENDS) else None
        return tokens

    def _read_other(self, batch: bytes, at: int, end: int) -> tuple[int, bool]:
        """Deal with an event that must not be joined with others.

        Where to go on, and whether it was a chunk.
        """
        event = batch[at:end]
        if event == _DONE:  # PERF: as read_event() would find
            self._finish()
            return end, False
        read = read_event(event)
        match read.kind:
            case EventKind.CHUNK:
                self._push_chunk(event, read.chunk)
                return end, True
            case EventKind.EMPTY:
                self._comments += 1
                if self._comments > _MOST_COMMENTS:
                    return end_of_ignored_lines(batch, end), False
                if self._raw:
                    said = event.lstrip(b"\r\n")
                    self._sink.push(said if said.startswith(b":") else _SILENCE, 0)
            case EventKind.DONE:
                self._finish()
            case EventKind.ERROR:
                raise error_of_object(read.chunk)
            case EventKind.BROKEN:
                raise EngineUnavailable(_UNREADABLE)
        return end, False

    def _push_chunk(self, event: bytes, chunk: dict[str, Any]) -> None:
        tokens = self._note(chunk)
        if self._choices and is_llama_usage(chunk):
            # The usage of one of several choices is kept until the end; the rest is passed on.
            self._usage = self._usage or UsageSum(self._choices)
            rest = self._usage.take(chunk)
            if rest is not None:
                self._push(rest, tokens)
        elif self._raw:
            self._sink.push(event[prelude_of(event) :], tokens)
        else:
            self._push(chunk, tokens)

    def _finish(self) -> None:
        """``[DONE]`` came: nothing more is pushed but the usage."""
        self.done = True
        self._single = None
        self._push_usage()

    def _push_usage(self) -> None:
        usage = None if self._usage is None else self._usage.chunk()
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

    def _note(self, chunk: dict[str, Any]) -> int:
        """Remember which choices began and which were finished; count the chunk's tokens."""
        choices: Any = chunk.get("choices")
        tokens = 0
        for choice in choices if isinstance(choices, LIST) else ():
            if not isinstance(choice, DICT):
                continue
            index = str(choice.get("index"))
            if choice.get("finish_reason") is not None:
                self._ends[index] = True
            elif index not in self._ends:
                self._ends[index] = False
            delta = choice.get("delta")
            # PERF: as ``tokens_in_choices`` counts, in the same go.
            if (
                any(map(delta.get, OUTPUT_FIELDS))
                if isinstance(delta, DICT)
                else choice.get("text")
            ):
                tokens += 1
        return tokens

    def _muted(self, size: int) -> bool:
        """So many bytes came and no chunk was among them: that is borne for a while."""
        self._mute += size
        if self._mute > _MAX_MUTE:
            raise EngineUnavailable("the upstream's stream says nothing")
        return False


def lenient(data: bytes) -> Any:
    """What ``data`` says in JSON as servers write it; ``None`` if it can't be read."""
    try:
        return decode(data)
    except Undecodable:
        return None


def error_in(rest: bytes) -> EngineError | None:
    """The error that some servers tell in a document instead of an event; ``None`` otherwise."""
    document: Any = lenient(rest)
    if isinstance(document, DICT) and is_error(document):
        return error_of_object(document)
    return None
