"""The mock upstream's words, made once: what an OpenAI-compatible engine sends, as bytes."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Final

from tests.bench.peers.answer import stamp

__all__ = [
    "EMPTY",
    "PROBES",
    "STREAM_HEAD",
    "burst",
    "first_event",
    "last_events",
    "token",
    "unary",
]

STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)

_BASE: Final = {
    "id": "chatcmpl-mock0000",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "mock",
}
_PLACE: Final = "PLACE"


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: %s\n\n" % _json({**_BASE, "choices": [choice], "usage": None})


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 12, "completion_tokens": tokens, "total_tokens": 12 + tokens}


_BEFORE, _AFTER = _event({"content": _PLACE}).split(_PLACE.encode())


def first_event() -> bytes:
    """The chunk that names the role."""
    return _chunk(_event({"role": "assistant", "content": ""}))


def token(now: float) -> bytes:
    """The chunk of one token, stamped with ``now``."""
    return _chunk(_BEFORE + stamp(now) + _AFTER)


def last_events(tokens: int) -> bytes:
    """The chunks after the last token: finish, usage, ``[DONE]``, the end of the body."""
    usage = _json({**_BASE, "choices": [], "usage": _usage(tokens)})
    events = (_event({}, "stop"), b"data: %s\n\n" % usage, b"data: [DONE]\n\n")
    return b"".join(map(_chunk, events)) + b"0\r\n\r\n"


@lru_cache(maxsize=64)
def burst(tokens: int) -> bytes:
    """A whole streamed answer, one chunk an event, for a single write."""
    spoken = b"".join(token(0.0) for _ in range(tokens))
    return STREAM_HEAD + first_event() + spoken + last_events(tokens)


@lru_cache(maxsize=64)
def unary(tokens: int) -> bytes:
    """A whole unary answer."""
    message = {"role": "assistant", "content": stamp(0.0).decode() * tokens, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    content = _json(
        {**_BASE, "object": "chat.completion", "choices": [choice], "usage": _usage(tokens)}
    )
    return document(content)


def document(content: bytes, status: bytes = b"200 OK") -> bytes:
    """A JSON answer."""
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        status,
        len(content),
        content,
    )


EMPTY: Final = document(b"{}", b"404 Not Found")

_MODEL: Final = {"id": "mock", "object": "model", "created": 1, "owned_by": "bench"}
_INFO: Final = {"model_path": "mock", "tokenizer_path": "", "is_generation": True}
_SERVER: Final = {"model_id": "mock", "model_path": "mock", "served_model_name": "mock"}
_OK: Final = document(b'{"status":"ok"}')

PROBES: Final = {
    b"/v1/models": document(
        _json({"object": "list", "data": [{**_MODEL, "root": "mock", "max_model_len": 32768}]})
    ),
    b"/health": _OK,
    b"/health_generate": _OK,
    b"/server_info": document(_json({**_SERVER, "tp_size": 1, "dp_size": 1, "version": "mock"})),
    b"/get_server_info": document(_json({**_SERVER, "tp_size": 1, "dp_size": 1})),
    b"/model_info": document(_json({**_INFO, "model_type": "llama"})),
    b"/get_model_info": document(_json({**_INFO, "model_type": "llama"})),
    b"/v1/loads": document(_json({"loads": [], "load": 0})),
    b"/get_load": document(_json([{"load": 0, "dp_rank": 0, "num_reqs": 0}])),
    b"/version": document(_json({"version": "0.0.0"})),
}
"""What routers ask their workers, by path."""
