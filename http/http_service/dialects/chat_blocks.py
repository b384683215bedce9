"""Reads the chunks of a chat completion as blocks: reasoning, text, refusal, tool calls, in order.

Chat completions say no block's begin or end, and may send two tool calls interleaved; the APIs that
this package writes know one open block at a time. A block opens with its first output, closes
before the next one opens, and all are closed at the end. Of several choices only the first is read:
no request that is translated asks for more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final, NamedTuple

from actors.engines.contract import Chunk
from actors.engines.error_object import is_error
from actors.engines.errors import EngineUnavailable
from actors.engines.lenient_json import DICT, LIST
from actors.engines.refusals import error_of_object
from actors.engines.sse import EventKind, event_end, read_event
from http_service.dialects.text_runs import TextShape, shape_of
from http_service.streaming.deltas import Json, ToolCall, ToolCalls, index_of

__all__ = [
    "BlockDelta",
    "BlockKind",
    "ChatBlocks",
    "Growth",
    "Step",
    "TokenUsage",
    "list_of",
    "object_of",
    "objects_in",
    "usage_of",
]

_UNREADABLE: Final = "The engine sent a chunk that can't be read."


class BlockKind(Enum):
    """What a block holds."""

    REASONING = "reasoning"
    TEXT = "text"
    REFUSAL = "refusal"
    CALL = "call"


class Step(Enum):
    """What happens to a block."""

    OPEN = "open"
    GROW = "grow"
    CLOSE = "close"


class BlockDelta(NamedTuple):
    """One step of one block. ``text`` grows it; ``call_id`` and ``name`` are a tool call's.

    ``logprobs`` are OpenAI's, for each token of ``text``, where the engine sent them.
    """

    step: Step
    kind: BlockKind
    text: str = ""
    call_id: str = ""
    name: str = ""
    logprobs: tuple[Any, ...] = ()


class Growth(NamedTuple):
    """Texts by which the open block grows, one after the other.

    ``inside`` are they as JSON writes them, without their quotes.
    """

    kind: BlockKind
    inside: list[bytes]
    texts: list[str]


_KINDS: Final = (BlockKind.TEXT, BlockKind.REASONING)
"""The kinds of a text, and of reasoning."""
_MOST_LOOKS: Final = 16
"""How often a shape is made of an event at most: each time the server does something else."""


class TokenUsage(NamedTuple):
    """Token counts as an engine reported them; ``prompt`` includes ``cached``."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0


class ChatBlocks:
    """Turns chunks into :class:`BlockDelta` after :class:`BlockDelta`. Not synchronised.

    After the last chunk call :meth:`end`. ``finish_reason``, ``stop_sequence`` (the string that
    ended the answer, where a server names it) and ``usage`` are what the chunks said so far.
    """

    def __init__(self) -> None:
        self.finish_reason: str | None = None
        self.stop_sequence: str | None = None
        self.usage: TokenUsage | None = None
        self.empty = True
        """Whether there was no output yet."""
        self._open: BlockKind | None = None
        self._calls = ToolCalls()
        self._told = 0
        """How many tool calls are closed."""
        self._pieces = 0
        """How many pieces of the open call's arguments were passed on."""
        self._shape: TextShape | None = None
        self._looks = _MOST_LOOKS

    def add(self, chunk: Chunk) -> Iterator[BlockDelta | Growth]:
        """The steps that ``chunk``, or the events in it, bring.

        Raises the ``EngineError`` that an error object describes, and ``EngineUnavailable`` for
        what is not a chunk.
        """
        if not isinstance(chunk, bytes):
            yield from self._add(chunk)
            return
        at = 0
        while at < len(chunk):
            shape = self._shape
            kind = None if shape is None else _KINDS[shape.reasoning]
            if shape is not None and kind is not None and self._open is kind:
                run = shape.run(chunk, at)
                if run is not None:
                    at = run.stop
                    if run.texts:
                        yield Growth(kind, run.inside, run.texts)
                    continue
            end = event_end(chunk, at)
            event, at = chunk[at:end], end
            read = read_event(event)
            if read.kind is EventKind.BROKEN:
                raise EngineUnavailable(_UNREADABLE)
            if read.kind is EventKind.ERROR:
                raise error_of_object(read.chunk, who="the engine")
            yield from self._add(read.chunk)
            # A server whose every event differs is looked at a few times.
            if self._looks and self._open in _KINDS:
                self._looks -= 1
                self._shape = shape_of(event, read.chunk)

    def end(self) -> Iterator[BlockDelta]:
        """The steps that close what is open. Raises ``EngineUnavailable`` if there was nothing."""
        if self.empty and self.finish_reason is None:
            raise EngineUnavailable("The engine ended without an answer.")
        yield from self._rest_of_calls()
        yield from self._close()

    def _add(self, chunk: Mapping[str, Any]) -> Iterator[BlockDelta]:
        choices: Any = chunk.get("choices")
        if (not choices or chunk.get("error")) and is_error(dict(chunk)):
            raise error_of_object(dict(chunk), who="the engine")
        self.usage = usage_of(chunk.get("usage")) or self.usage
        for choice in list_of(choices):
            if isinstance(choice, DICT) and not index_of(choice.get("index", 0)):
                yield from self._add_choice(choice)

    def _add_choice(self, choice: Mapping[str, Any]) -> Iterator[BlockDelta]:
        message: Any = choice.get("delta") or choice.get("message")
        if isinstance(message, DICT):
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            yield from self._text(BlockKind.REASONING, reasoning)
            yield from self._text(
                BlockKind.TEXT, message.get("content"), _logprobs(choice.get("logprobs"))
            )
            yield from self._text(BlockKind.REFUSAL, message.get("refusal"))
            if message.get("tool_calls"):
                self._calls.add(message["tool_calls"])
                yield from self._grown_calls()
        if isinstance(choice.get("finish_reason"), str):
            self.finish_reason = choice["finish_reason"]
        if isinstance(choice.get("stop_reason"), str):  # vLLM's
            self.stop_sequence = choice["stop_reason"]

    def _text(
        self, kind: BlockKind, text: object, logprobs: tuple[Any, ...] = ()
    ) -> Iterator[BlockDelta]:
        if not isinstance(text, str) or not text:
            return
        if self._open is not kind:
            yield from self._rest_of_calls()
            yield from self._close()
            self._open = kind
            self.empty = False
            yield BlockDelta(Step.OPEN, kind)
        yield BlockDelta(Step.GROW, kind, text, logprobs=logprobs)

    def _grown_calls(self) -> Iterator[BlockDelta]:
        """What is new in the call that is open; the next one opens when this one is whole."""
        calls = self._calls.calls
        while self._told < len(calls):
            call = calls[self._told]
            if not call.name:
                return  # some servers send the name late
            yield from self._grow(call)
            if self._told + 1 >= len(calls) or not call.is_whole():
                return
            yield from self._close()

    def _grow(self, call: ToolCall) -> Iterator[BlockDelta]:
        if self._open is not BlockKind.CALL:
            yield from self._close()
            self._open = BlockKind.CALL
            self.empty = False
            self._pieces = 0
            yield BlockDelta(Step.OPEN, BlockKind.CALL, call_id=call.id, name=call.name)
        pieces = call.argument_pieces(self._pieces)
        self._pieces += len(pieces)
        text = "".join(pieces)
        if text:
            yield BlockDelta(Step.GROW, BlockKind.CALL, text)

    def _rest_of_calls(self) -> Iterator[BlockDelta]:
        """Every call that is not closed yet, whole or not: nothing more of it is expected."""
        calls = self._calls.calls
        while self._told < len(calls):
            call = calls[self._told]
            if call.name:
                yield from self._grow(call)
                yield from self._close()
            else:  # no client could run it
                self._told += 1

    def _close(self) -> Iterator[BlockDelta]:
        kind, self._open = self._open, None
        if kind is not None:
            self._told += kind is BlockKind.CALL
            yield BlockDelta(Step.CLOSE, kind)


def usage_of(usage: Any) -> TokenUsage | None:
    """The counts in a chat completion's ``usage``; ``None`` if it is not an object."""
    if not isinstance(usage, DICT):
        return None
    fields: dict[str, Any] = usage
    return TokenUsage(
        _count(fields.get("prompt_tokens")),
        _count(_inner(fields, "prompt_tokens_details", "cached_tokens")),
        _count(fields.get("completion_tokens")),
        _count(_inner(fields, "completion_tokens_details", "reasoning_tokens")),
    )


def object_of(value: Any) -> Json:
    """``value``, or an empty object if it is something else."""
    return value if isinstance(value, DICT) else {}


def list_of(value: Any) -> list[Any]:
    """``value``, or an empty list if it is something else."""
    return value if isinstance(value, LIST) else []


def objects_in(value: Any) -> list[Json]:
    """The objects in ``value``, a list; what else it holds means nothing."""
    return [item for item in list_of(value) if isinstance(item, DICT)]


def _logprobs(logprobs: object) -> tuple[Any, ...]:
    return tuple(list_of(object_of(logprobs).get("content")))


def _inner(fields: Mapping[str, Any], outer: str, name: str) -> object:
    return object_of(fields.get(outer)).get(name)


def _count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0
