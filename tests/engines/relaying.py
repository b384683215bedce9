"""An upstream engine and a scripted server on a real socket, for the tests of the relay."""

from __future__ import annotations

from typing import Any

from actors.engines import (
    Context,
    EngineError,
    EngineRequest,
)
from actors.engines.upstream import UpstreamEngine
from tests.engines.asking import ask, chat
from tests.engines.raw_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    RawServer,
    Received,
    Script,
    answer,
    chunked,
)
from tests.engines.recording import RecordingSink
from tests.engines.subjects import FINISH, event, token

__all__ = ["AT_ONCE", "STREAM", "UNARY", "failure", "relay"]

AT_ONCE = 1.0  # seconds; it takes a millisecond, but the machine is busy
UNARY = answer(200, b'{"choices": []}', "content-type: application/json")
STREAM = STREAM_HEAD + chunked(event(token("a")) + event(FINISH) + event("[DONE]")) + LAST_CHUNK


def relay(
    script: Script, asked: EngineRequest, context: Context | None = None, **options: Any
) -> tuple[RecordingSink, list[Received]]:
    """Ask an upstream that follows ``script``."""
    with RawServer(script) as server:
        engine = UpstreamEngine(server.url, **options)
        sink = ask(engine, asked, context)
        assert engine.close()
    return sink, server.received


def failure(script: Script, asked: EngineRequest | None = None, **options: Any) -> EngineError:
    """How asking fails; every failure is one error at the end."""
    sink, _ = relay(script, asked or chat(), **options)
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, EngineError)
    return sink.error
