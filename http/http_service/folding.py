"""Folds a stream of chunks into the one answer of a unary request.

A pure accumulator, no threads: whoever feeds it serialises. The rules are OpenAI's: texts
concatenate, tool calls concatenate by their index, the last ``finish_reason`` and ``usage`` win,
lists of log probabilities grow. Fields nobody named are kept: strings concatenate, others replace.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

import orjson

from actors.engines.contract import Chunk, Kind
from actors.engines.errors import EngineUnavailable
from actors.engines.sse.events import EventKind, read_event

__all__ = ["Fold"]

Json: TypeAlias = dict[str, Any]

_OBJECTS: Final = {Kind.CHAT: "chat.completion", Kind.COMPLETIONS: "text_completion"}
_CHUNK_FIELDS: Final = frozenset({"choices", "object", "usage"})
"""Fields of a chunk that are folded by a rule of their own; all others: the first one counts."""

_WHOLE: Final = frozenset({"id", "type", "role", "name"})
"""Strings that arrive whole: a repetition replaces, it does not lengthen."""


class Fold:
    """Grows an answer of ``kind`` chunk by chunk; ``id``, ``created`` and ``model`` are fallbacks.

    Not synchronised.
    """

    def __init__(self, kind: Kind, *, id: str, created: int, model: str) -> None:  # noqa: A002  # OpenAI's field
        self._kind = kind
        self._head: Json = {}
        self._fallbacks: Json = {"id": id, "created": created, "model": model}
        self._choices: dict[int, _Choice] = {}
        self._usage: Json | None = None

    def add(self, chunk: Chunk) -> None:
        """Take one chunk; comments are skipped. Raises :class:`EngineUnavailable` for no chunk."""
        if isinstance(chunk, bytes):
            event = read_event(chunk)
            if event.kind in (EventKind.ERROR, EventKind.BROKEN):
                raise EngineUnavailable("The engine broke off with an error.")
            chunk = event.chunk
        # PERF: chunks of one stream have the same fields; the first one tells what they hold.
        if chunk.keys() - _CHUNK_FIELDS != self._head.keys():
            for key, value in chunk.items():
                if key not in _CHUNK_FIELDS:
                    self._head.setdefault(key, value)
        if chunk.get("usage") is not None:
            self._usage = chunk["usage"]
        for choice in chunk.get("choices") or ():
            index = choice.get("index", 0)
            grown = self._choices.get(index)
            if grown is None:
                grown = self._choices[index] = _Choice()
            grown.add(choice)

    @property
    def completion_tokens(self) -> int | None:
        """The engine's own count of output tokens, if a chunk carried one."""
        usage: object = self._usage  # an engine's own, so it may be anything
        count = usage.get("completion_tokens") if isinstance(usage, dict) else None
        return count if type(count) is int else None

    def answer(self) -> bytes:
        """The whole answer as JSON. Raises :class:`EngineUnavailable` if no choice ever came."""
        if not self._choices:
            raise EngineUnavailable("The engine ended without an answer.")
        told = self._choice_of_chat if self._kind is Kind.CHAT else self._choice_of_text
        answer: Json = {**self._fallbacks, **self._head, "object": _OBJECTS[self._kind]}
        answer["choices"] = [told(index, self._choices[index]) for index in sorted(self._choices)]
        if self._usage is not None:
            answer["usage"] = self._usage
        return orjson.dumps(answer)

    @staticmethod
    def _choice_of_chat(index: int, choice: _Choice) -> Json:
        message: Json = {"role": "assistant", "content": None, **_joined(choice.message)}
        tool_calls = [_joined(choice.tool_calls[key]) for key in sorted(choice.tool_calls)]
        if tool_calls:
            message["tool_calls"] = tool_calls
        elif message["content"] is None:
            message["content"] = ""
        return {
            "index": index,
            "message": message,
            "logprobs": choice.logprobs,
            "finish_reason": choice.finish_reason,
        }

    @staticmethod
    def _choice_of_text(index: int, choice: _Choice) -> Json:
        return {
            "index": index,
            "text": "".join(choice.text),
            "logprobs": choice.logprobs,
            "finish_reason": choice.finish_reason,
        }


@dataclass(slots=True)
class _Choice:
    """One choice while it grows; strings are kept in pieces, so that growing stays linear."""

    text: list[str] = field(default_factory=list[str])
    message: Json = field(default_factory=dict[str, Any])
    tool_calls: dict[int, Json] = field(default_factory=dict[int, Json])
    logprobs: Json | None = None
    finish_reason: str | None = None

    def add(self, choice: Json) -> None:
        """Take this choice's part of one chunk."""
        if choice.get("text"):
            self.text.append(choice["text"])
        delta: Json = choice.get("delta") or {}
        for key, value in delta.items():
            if key == "tool_calls":
                self._add_calls(value or [])
            else:
                _grow_field(self.message, key, value)
        if choice.get("finish_reason") is not None:
            self.finish_reason = choice["finish_reason"]
        if choice.get("logprobs") is not None:
            self.logprobs = _extended(self.logprobs or {}, choice["logprobs"])

    def _add_calls(self, calls: list[Json]) -> None:
        for position, call in enumerate(calls):
            grown = self.tool_calls.setdefault(call.get("index", position), {})
            for key, value in call.items():
                if key != "index":
                    _grow_field(grown, key, value)


def _grow_field(into: Json, key: str, value: Any) -> None:
    """Merge one field into ``into``, keeping texts as lists of pieces (see :func:`_joined`)."""
    if isinstance(value, str) and key not in _WHOLE:
        pieces = into.get(key)
        if pieces is None:
            pieces = into[key] = _Pieces()
        pieces.append(value)
    elif isinstance(value, dict):
        grown = into.setdefault(key, {})
        for inner, part in cast("Json", value).items():
            _grow_field(grown, inner, part)
    elif value is not None:
        into[key] = value


def _joined(grown: Json) -> Json:
    """``grown`` with every list of pieces joined to one text."""
    return {key: _told(value) for key, value in grown.items()}


def _told(value: object) -> object:
    if isinstance(value, _Pieces):
        return "".join(value)
    return _joined(cast("Json", value)) if isinstance(value, dict) else value


class _Pieces(list[str]):
    """The pieces of one growing text; told from a JSON list by its class."""

    __slots__ = ()


def _extended(into: Json, part: Json) -> Json:
    """Log probabilities: lists grow, others replace."""
    for key, value in part.items():
        present = into.get(key)
        if isinstance(present, list) and isinstance(value, list):
            into[key] = [*cast("list[object]", present), *cast("list[object]", value)]
        elif value is not None or key not in into:
            into[key] = value
    return into
