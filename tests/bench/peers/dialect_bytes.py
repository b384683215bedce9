"""The mock upstream's words in other APIs, made once: a Messages stream, a document of vectors."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from tests.bench.peers import upstream_bytes
from tests.bench.peers.answer import stamp
from tests.bench.peers.upstream_bytes import STREAM_HEAD, document

__all__ = ["CHAT", "DOCUMENTS", "WORDS", "Words"]

DIMENSIONS: Final = 1024
"""Numbers of a vector, as common models of today make them."""
_PLACE: Final = "PLACE"


class Words(NamedTuple):
    """How a stream is said in one API: its beginning, a token made at a time, its end."""

    first: Callable[[], bytes]
    token: Callable[[float], bytes]
    last: Callable[[int], bytes]
    burst: Callable[[int], bytes]


def _event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {data}\n\n".encode()


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


_USAGE: Final = {"input_tokens": 12, "output_tokens": 0}
_MESSAGE: Final[dict[str, Any]] = {
    "id": "msg_mock0000", "type": "message", "role": "assistant", "model": "native",
    "content": [], "stop_reason": None, "stop_sequence": None, "usage": _USAGE,
}  # fmt: skip
_FIRST: Final = _chunk(_event("message_start", message=_MESSAGE)) + _chunk(
    _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
)
_BEFORE, _AFTER = _event(
    "content_block_delta", index=0, delta={"type": "text_delta", "text": _PLACE}
).split(_PLACE.encode())


def _first() -> bytes:
    return _FIRST


def _token(now: float) -> bytes:
    return _chunk(_BEFORE + stamp(now) + _AFTER)


def _last(tokens: int) -> bytes:
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    usage = {**_USAGE, "output_tokens": tokens}
    events = (
        _event("content_block_stop", index=0),
        _event("message_delta", delta=delta, usage=usage),
        _event("message_stop"),
    )
    return b"".join(map(_chunk, events)) + b"0\r\n\r\n"


@lru_cache(maxsize=64)
def _burst(tokens: int) -> bytes:
    return STREAM_HEAD + _FIRST + b"".join(_token(0.0) for _ in range(tokens)) + _last(tokens)


CHAT: Final = Words(
    upstream_bytes.first_event,
    upstream_bytes.token,
    upstream_bytes.last_events,
    upstream_bytes.burst,
)
WORDS: Final[Mapping[bytes, Words]] = MappingProxyType(
    {b"/v1/messages": Words(_first, _token, _last, _burst)}
)
"""Streams by path; any other path is chat's."""

_VECTOR: Final = {
    "object": "embedding", "index": 0, "embedding": b64encode(bytes(4 * DIMENSIONS)).decode(),
}  # fmt: skip
_VECTORS: Final = {
    "object": "list", "data": [_VECTOR], "model": "vectors",
    "usage": {"prompt_tokens": 12, "total_tokens": 12},
}  # fmt: skip

DOCUMENTS: Final[Mapping[bytes, bytes]] = MappingProxyType(
    {b"/v1/embeddings": document(json.dumps(_VECTORS, separators=(",", ":")).encode())}
)
"""Whole answers by path."""
