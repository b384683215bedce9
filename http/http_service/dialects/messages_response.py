"""Writes a chat completion as an answer of Anthropic's Messages API, streamed or whole. Pure.

Source: Anthropic's API reference, "Streaming messages": ``message_start``, for each block
``content_block_start``, its deltas and ``content_block_stop``, then ``message_delta`` and
``message_stop``. A tool call is written when it is complete, as Anthropic's own service does unless
it is asked otherwise, so that no client ever reads arguments that are not JSON; ``ping`` events
show meanwhile that there is progress.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, Final, TypeAlias

import orjson

from actors.engines.contract import Chunk
from actors.engines.lenient_json import DICT, encode
from http_service.dialects.chat_blocks import (
    BlockDelta,
    BlockKind,
    ChatBlocks,
    Growth,
    Step,
    TokenUsage,
)
from http_service.dialects.native import NativeEvents
from http_service.errors import ErrorReply

__all__ = ["MessagesWriter", "error_body", "error_type"]

Json: TypeAlias = dict[str, Any]

SIGNATURE: Final = "callboard"
"""What stands for the signature of a thinking block: no server here signs any."""

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'

_PIECES_A_PING: Final = 64

_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_ERROR_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class MessagesWriter:
    """Writes one answer: :meth:`begin`, :meth:`write` each chunk, :meth:`end`. Not synchronised.

    ``model`` is what the client calls it.
    """

    def __init__(self, request_id: str, model: str) -> None:
        self._request_id = request_id
        self._model = model
        self._blocks = ChatBlocks()
        self._native: NativeEvents | None = None
        self._content: list[Json] = []
        """What the answer holds so far; PERF: of a stream only the open block is kept."""
        self._index = -1
        self._calls = False
        self._pieces: list[str] = []

    def begin(self) -> bytes:
        """The event before the first block. PERF: sent with the first chunk."""
        start = {"type": "message_start", "message": self._message([], None, None, TokenUsage())}
        return _event(start)

    def write(self, chunk: Chunk) -> bytes:
        """The events that ``chunk`` brings, which may be none. Raises what ``ChatBlocks`` does."""
        return b"".join(map(self._write, self._blocks.add(chunk)))

    def end(self) -> bytes:
        """The events that complete the answer."""
        rest = b"".join(map(self._write, self._blocks.end()))
        reason, sequence = self._stop()
        usage = _usage(self._blocks.usage or TokenUsage())
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        return (
            rest
            + _event({"type": "message_delta", "delta": delta, "usage": usage})
            + _event({"type": "message_stop"})
        )

    def passed(self, native: bytes) -> None:
        """Events, or a whole answer, that an engine wrote in this API and the client gets."""
        if self._native is None:
            self._native = NativeEvents()
        self._native.passed(native)

    def fail(self, reply: ErrorReply) -> bytes:
        """The event that ends a stream that can't be completed; nothing comes after it."""
        return b"event: error\ndata: %b\n\n" % self.error_document(reply)

    def error_document(self, reply: ErrorReply) -> bytes:
        """The body of an HTTP error."""
        return error_body(reply, self._request_id)

    @property
    def completion_tokens(self) -> int | None:
        """The engine's own count of output tokens, if a chunk or a native event carried one."""
        if self._native is not None:
            return self._native.output_tokens
        return None if self._blocks.usage is None else self._blocks.usage.completion

    def document(self, completion: Mapping[str, Any]) -> Json:
        """The whole answer for a whole chat completion."""
        content: list[Json] = []
        for delta in chain(self._blocks.add(dict(completion)), self._blocks.end()):
            if isinstance(delta, BlockDelta):  # events alone bring anything else
                block = self._take(delta)
                if delta.step is Step.CLOSE and block is not None:
                    content.append(block)
        reason, sequence = self._stop()
        return self._message(content, reason, sequence, self._blocks.usage or TokenUsage())

    def _write(self, delta: BlockDelta | Growth) -> bytes:
        """One step of a block as events."""
        if isinstance(delta, Growth):
            # PERF: the texts are written as they came.
            before = _GROWTHS[delta.kind] % self._index
            return before + (_GROWN + before).join(delta.inside) + _GROWN
        if delta.kind is BlockKind.CALL:
            return self._write_call(delta)
        if delta.step is Step.OPEN:
            self._index += 1
            return self._event("content_block_start", content_block=_EMPTY[delta.kind])
        thinking = delta.kind is BlockKind.REASONING
        if delta.step is Step.GROW:
            name = "thinking" if thinking else "text"
            return self._event("content_block_delta", delta=_delta(name, delta.text))
        signature = {"type": "signature_delta", "signature": SIGNATURE}
        signed = self._event("content_block_delta", delta=signature) if thinking else b""
        return signed + self._event("content_block_stop")

    def _write_call(self, delta: BlockDelta) -> bytes:
        block = self._take(delta)
        if delta.step is not Step.CLOSE:
            return PING if len(self._pieces) % _PIECES_A_PING == 0 else b""
        if block is None:
            return b""
        self._index += 1
        start = self._event("content_block_start", content_block={**block, "input": {}})
        partial = b""
        if block["input"]:
            text = encode(block["input"]).decode()
            grown = {"type": "input_json_delta", "partial_json": text}
            partial = self._event("content_block_delta", delta=grown)
        return start + partial + self._event("content_block_stop")

    def _take(self, delta: BlockDelta) -> Json | None:
        """Gather the open block; when it closes, the block, or ``None`` for a broken call."""
        if delta.step is Step.OPEN:
            self._pieces = []
            self._content = [_opened(delta)]
        elif delta.step is Step.GROW:
            self._pieces.append(delta.text)
        else:
            return self._closed(delta.kind)
        return None

    def _closed(self, kind: BlockKind) -> Json | None:
        block, text = self._content[0], "".join(self._pieces)
        if kind is not BlockKind.CALL:
            block["thinking" if kind is BlockKind.REASONING else "text"] = text
            return block
        try:
            arguments: Any = orjson.loads(text or "{}")
        except orjson.JSONDecodeError:
            arguments = None
        # NOTE: a call that was cut has arguments that no client can read: it is left out.
        if not isinstance(arguments, DICT):
            return None
        self._calls = True
        block["input"] = arguments
        return block

    def _stop(self) -> tuple[str, str | None]:
        """The stop reason, and the string that stopped the answer."""
        blocks = self._blocks
        reason = _STOP_REASONS.get(blocks.finish_reason or "stop", "end_turn")
        if reason == "end_turn" and self._calls:
            return "tool_use", None  # some servers say "stop" after their calls
        if reason == "end_turn" and blocks.stop_sequence is not None:
            return "stop_sequence", blocks.stop_sequence
        if reason == "tool_use" and not self._calls:
            return "max_tokens", None  # the one call was cut
        return reason, None

    def _message(
        self, content: list[Json], reason: str | None, sequence: str | None, usage: TokenUsage
    ) -> Json:
        return {
            "id": f"msg_{self._request_id}",
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": sequence,
            "usage": _usage(usage),
        }

    def _event(self, type_: str, **fields: Any) -> bytes:
        return _event({"type": type_, "index": self._index, **fields})


def error_type(status: int) -> str:
    """What this API calls an error with ``status``."""
    return _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def error_body(reply: ErrorReply, request_id: str) -> bytes:
    """The document of an error."""
    message = reply.message
    if reply.code == "context_length_exceeded" and not message.startswith(_TOO_LONG):
        message = f"{_TOO_LONG}: {message}"
    error = {"type": error_type(reply.status), "message": message}
    return encode({"type": "error", "error": error, "request_id": request_id})


_TOO_LONG: Final = "prompt is too long"
"""How Anthropic says it, by which clients know that they have to shorten their history."""

_GROWTH: Final = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%%d,'
    b'"delta":{"type":"%b_delta","%b":"'
)
_GROWTHS: Final[Mapping[BlockKind, bytes]] = {
    BlockKind.TEXT: _GROWTH % (b"text", b"text"),
    BlockKind.REASONING: _GROWTH % (b"thinking", b"thinking"),
}
_GROWN: Final = b'"}}\n\n'

_EMPTY: Final[Mapping[BlockKind, Json]] = {
    BlockKind.REASONING: {"type": "thinking", "thinking": "", "signature": ""},
    BlockKind.TEXT: {"type": "text", "text": ""},
    BlockKind.REFUSAL: {"type": "text", "text": ""},
}


def _opened(delta: BlockDelta) -> Json:
    if delta.kind is BlockKind.CALL:
        return {"type": "tool_use", "id": delta.call_id, "name": delta.name, "input": {}}
    block = {**_EMPTY[delta.kind]}
    if delta.kind is BlockKind.REASONING:
        block["signature"] = SIGNATURE
    return block


def _delta(name: str, text: str) -> Json:
    return {"type": f"{name}_delta", name: text}


def _usage(usage: TokenUsage) -> Json:
    return {
        "input_tokens": max(usage.prompt - usage.cached, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.completion,
    }


def _event(fields: Mapping[str, Any]) -> bytes:
    # PERF: one format, one dump; the type comes first, as readers expect.
    return b"event: %b\ndata: %b\n\n" % (fields["type"].encode(), encode(fields))
