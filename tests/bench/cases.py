"""What is measured: each case is a request and the mark that ends its answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    """One kind of request. ``end`` is the last thing that the server sends of an answer."""

    name: str
    request: bytes
    end: bytes


def _post(body: object) -> bytes:
    content = json.dumps(body).encode()
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        "Content-Type: application/json\r\nAuthorization: Bearer none\r\n"
        f"Accept: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def _chat(tokens: int, *, stream: bool) -> bytes:
    text = " ".join(["word"] * tokens)
    # About 1 KB in all, as a short conversation has.
    system = {"role": "system", "content": "You are a helpful assistant. " * 25}
    messages = [system, {"role": "user", "content": text}]
    return _post({"model": "echo", "messages": messages, "stream": stream})


CASES: Final = (
    Case("GET /live", b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", b"}"),
    Case("echo, unary, 16 tokens", _chat(16, stream=False), b"}}"),
    Case("echo, stream, 64 tokens at once", _chat(64, stream=True), b"0\r\n\r\n"),
)
