"""Requests, as the HTTP service hands them to engines."""

from __future__ import annotations

from typing import Any

import orjson

from actors.engines import Context, Engine, EngineRequest, Kind
from tests.engines.recording import RecordingSink

PARIS = "What is the capital of France? Answer in one sentence."


def request(kind: Kind, body: dict[str, Any], *, stream: bool = True) -> EngineRequest:
    body = {"model": "m", "stream": stream, **body}
    return EngineRequest(kind, body["model"], stream, body, orjson.dumps(body))


def chat(text: str = "one two three", *, stream: bool = True, **fields: Any) -> EngineRequest:
    messages = [{"role": "user", "content": text}]
    return request(Kind.CHAT, {"messages": messages, **fields}, stream=stream)


def complete(prompt: Any = "one two three", *, stream: bool = True, **fields: Any) -> EngineRequest:
    return request(Kind.COMPLETIONS, {"prompt": prompt, **fields}, stream=stream)


def ask(engine: Engine, asked: EngineRequest, context: Context | None = None) -> RecordingSink:
    """Start, and wait for the end."""
    sink = RecordingSink()
    engine.start(asked, sink, context or Context("r"))
    return sink.wait_for_end()
