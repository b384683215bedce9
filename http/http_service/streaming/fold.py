"""Folds a stream of chunks into the one response to a unary request.

A pure accumulator, no threads: its caller serialises. It assumes no server's habits:

* texts grow, choice by choice; tool calls are told apart by ``deltas``;
* ``id``, ``created`` and ``model`` are the first that are not empty (Azure's first chunk has none);
* of what else stands beside the choices the last value that is not ``null`` counts, because chunks
  repeat it whole; of what stands in a choice too, but lists grow there (``logprobs``,
  ``token_ids``), because each chunk describes its own tokens;
* unknown fields are kept: in a message strings grow, as its texts do;
* an empty string or ``null`` never replaces anything.
"""

from __future__ import annotations

from typing import Any, Final, assert_never, cast

from actors.engines.contract import Chunk, Generating, Kind
from actors.engines.error_object import is_error
from actors.engines.errors import AnswerTooLong, EngineUnavailable
from actors.engines.lenient_json import encode
from actors.engines.refusals import error_of_object
from actors.engines.sse import EventKind, read_event, split_events
from http_service.streaming.deltas import Json, Pieces, ToolCalls, index_of, joined, merge

__all__ = [
    "MAX_BYTES",
    "Fold",
]

MAX_BYTES: Final = 64 * 1024 * 1024
"""Bytes of a response that are held in memory, as of one that an upstream sends in one piece."""

_HANDLED: Final = frozenset({"index", "delta", "message", "text"})
"""Fields of a choice that have a rule of their own."""
_FIRST_COUNTS: Final = frozenset({"id", "created", "model"})

_CONTENT_ALTERNATIVES: Final = ("refusal", "function_call", "audio")
"""What a message may have instead of a content, besides tool calls."""

# What a chunk, and a choice, costs beside its texts, in bytes.
_CHUNK_COST: Final = 64
_CHOICE_COST: Final = 1_024

_UNREADABLE: Final = "The engine sent a chunk that can't be read."


class Fold:
    """Grows a response of ``kind`` chunk by chunk; ``id``, ``created`` and ``model`` are fallbacks.

    Not synchronised. Holds at most ``limit`` bytes, roughly.
    """

    def __init__(
        self,
        kind: Generating,
        *,
        id: str,  # noqa: A002  # OpenAI's field
        created: int,
        model: str,
        limit: int = MAX_BYTES,
    ) -> None:
        self._kind: Generating = kind
        self._head: Json = {}
        self._fallbacks: Json = {"id": id, "created": created, "model": model}
        self._choices: dict[int, _Choice] = {}
        self._usage: Any = None
        self._settled = {"choices", "object", "error"}
        """Fields of a chunk that need no look: they have a rule of their own, or are known."""
        self._size = 0
        self._limit = limit

    def add(self, chunk: Chunk) -> None:
        """Take one chunk, or events; comments are skipped.

        Raises the ``EngineError`` that an error object tells, ``EngineUnavailable`` for what is not
        a chunk, ``AnswerTooLong`` beyond the limit.
        """
        if not isinstance(chunk, bytes):
            self._add(chunk)
            return
        for event in split_events(chunk):
            read = read_event(event)
            if read.kind is EventKind.BROKEN:
                raise EngineUnavailable(_UNREADABLE)
            if read.kind is EventKind.ERROR:
                raise error_of_object(read.chunk, who="the engine")
            self._add(read.chunk)

    @property
    def completion_tokens(self) -> int | None:
        """The engine's own count of output tokens, if a chunk carried one."""
        usage: object = self._usage  # an engine's own, so it may be anything
        count = cast("Json", usage).get("completion_tokens") if isinstance(usage, dict) else None
        return count if type(count) is int else None

    def response(self) -> bytes:
        """The whole response as JSON. Raises :class:`EngineUnavailable` if no choice ever came."""
        if not self._choices:
            raise EngineUnavailable("The engine ended without an answer.")
        response: Json = {**self._fallbacks, **self._head, "object": _object_name(self._kind)}
        try:
            response["choices"] = [
                self._choices[index].joined(index, self._kind) for index in sorted(self._choices)
            ]
            if self._usage is not None:
                response["usage"] = self._usage
            return encode(response)
        except (ValueError, RecursionError) as error:
            raise EngineUnavailable("The engine's answer can't be written as JSON.") from error

    def _add(self, chunk: Json) -> None:
        choices: Any = chunk.get("choices")
        if (not choices or chunk.get("error")) and is_error(chunk):
            raise error_of_object(chunk, who="the engine")
        # PERF: chunks repeat what stands beside their choices, so most of it is settled.
        settled = self._settled
        for key, value in chunk.items():
            if key not in settled:
                self._keep(key, value)
        added = _CHUNK_COST
        try:
            if choices:
                added += self._add_choices(choices)
        except RecursionError as error:
            raise EngineUnavailable(_UNREADABLE) from error
        self._size += added
        if self._size > self._limit:
            raise AnswerTooLong("The engine's answer is too long.")

    def _keep(self, key: str, value: Any) -> None:
        """Take what stands beside the choices."""
        if key == "usage":
            if value is not None:
                self._usage = value
        elif key in _FIRST_COUNTS:
            if value:
                self._head[key] = value
                self._settled.add(key)
        elif value is None or value == "":
            self._head.setdefault(key, value)
        else:
            self._head[key] = value

    def _add_choices(self, choices: Any) -> int:
        # PERF: declared, not cast: a cast is a call, and this is done for each token.
        listed: list[Any] = choices
        if not isinstance(choices, list):
            raise EngineUnavailable(_UNREADABLE)
        added = 0
        for position, choice in enumerate(listed):
            fields: Json = choice
            if isinstance(choice, dict):
                key: Any = fields.get("index")
                if type(key) is not int:
                    index = index_of(key)
                    key = position if index is None else index
                grown = self._choices.get(key)
                if grown is None:
                    grown = self._choices[key] = _Choice()
                    added += _CHOICE_COST
                added += grown.add(fields)
            elif choice is not None:
                raise EngineUnavailable(_UNREADABLE)
        return added


def _object_name(kind: Generating) -> str:
    """What OpenAI calls a whole response."""
    match kind:
        case Kind.CHAT:
            return "chat.completion"
        case Kind.COMPLETIONS:
            return "text_completion"
        case _:
            assert_never(kind)


class _Choice:
    """One choice while it grows."""

    __slots__ = ("_calls", "_fields", "_message", "_repeated", "_text")

    def __init__(self) -> None:
        self._text = Pieces()
        self._message: Json = {}
        self._calls = ToolCalls()
        self._repeated = False
        self._fields: Json = {"logprobs": None, "finish_reason": None}

    def add(self, choice: Json) -> int:
        """Take this choice's part of one chunk; the characters and items that this added."""
        added = 0
        for key, value in choice.items():
            if value is None:
                if key not in self._fields:
                    self._fields[key] = None
            elif key == "delta":
                added += self._add_message(value)
            elif key != "index":
                added += self._add_field(key, value, choice)
        return added

    def _add_field(self, key: str, value: object, choice: Json) -> int:
        """Take any other field of it that is not ``null``."""
        if key == "text":
            if not isinstance(value, str):
                raise EngineUnavailable(_UNREADABLE)
            self._text.append(value)
            return len(value)
        if key == "message":
            if choice.get("delta"):
                return 0
            whole = choice.get("finish_reason") is not None
            return self._add_message(self._unless_repeated(value) if whole else value)
        return merge(self._fields, {key: value}, texts=False)

    def joined(self, index: int, kind: Generating) -> Json:
        """The whole choice."""
        rest = {key: value for key, value in self._fields.items() if key not in _HANDLED}
        match kind:
            case Kind.CHAT:
                return {"index": index, "message": self._joined_message(), **rest}
            case Kind.COMPLETIONS:
                return {"index": index, "text": self._joined_text(), **rest}
            case _:
                assert_never(kind)

    def _joined_text(self) -> str:
        text = "".join(self._text)
        content: object = joined(self._message).get("content")
        return text or (content if isinstance(content, str) else "")

    def _joined_message(self) -> Json:
        message: Json = joined(self._message)
        text = "".join(self._text)
        message = {"role": "assistant", "content": None, "refusal": None, **message}
        calls = self._calls.joined()
        if calls:
            message["tool_calls"] = calls
        if text and not message["content"]:
            message["content"] = text
        if (
            message["content"] is None
            and not calls
            and not any(map(message.get, _CONTENT_ALTERNATIVES))
        ):
            message["content"] = ""
        return message

    def _add_message(self, part: Any) -> int:
        fields: Json = part
        if not isinstance(part, dict):
            if part:
                raise EngineUnavailable(_UNREADABLE)
            return 0
        added = 0
        for key, value in fields.items():
            pieces = self._message.get(key)
            # PERF: nearly every part is one more piece of a text.
            if type(pieces) is Pieces and type(value) is str:
                pieces.append(value)
                added += len(value)
            elif key == "tool_calls":
                added += self._calls.add(value)
            else:
                added += merge(self._message, {key: value}, texts=True)
        return added

    def _unless_repeated(self, message: Any) -> Any:
        """``message`` without a content that repeats all that was said: some servers end so."""
        fields: Json = message
        said: object = self._message.get("content")
        if self._repeated or not isinstance(message, dict) or not isinstance(said, Pieces):
            return fields
        self._repeated = True  # looked at once: it takes as long as the text
        if fields.get("content") != "".join(said):
            return fields
        return {key: value for key, value in fields.items() if key != "content"}
