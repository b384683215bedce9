"""A client that does not read, on real sockets: its engine waits, its memory is bounded."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from actors.engines.contract import AnyEngine, Chunk, Context, EngineRequest
from tests.http_service.engines import DEADLINE, token_chunk
from tests.http_service.serving import CHAT, RawClient, Running, eventually, post_bytes

PATH = "/v1/chat/completions"
PIECE = "x" * 32_768
ENDLESS = 100_000
"""Chunks; 3 GB, which nobody may hold in memory."""


class Endless:
    """A generator engine that counts what it produced."""

    def __init__(self) -> None:
        self.produced = 0
        self.closed = threading.Event()

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        """Produce as fast as it is taken."""
        del context
        try:
            for _ in range(ENDLESS):
                self.produced += 1
                yield token_chunk(request.kind, PIECE)
        finally:
            self.closed.set()


class AsyncEndless(Endless):
    """The same as an async generator."""

    async def generate(  # type: ignore[override]  # another of the engine shapes, on purpose
        self, request: EngineRequest, context: Context
    ) -> AsyncIterator[Chunk]:
        """Produce as fast as it is taken."""
        del context
        try:
            for _ in range(ENDLESS):
                self.produced += 1
                yield token_chunk(request.kind, PIECE)
        finally:
            self.closed.set()


@pytest.mark.parametrize("make", [Endless, AsyncEndless])
def test_a_generator_waits_for_a_client_that_does_not_read(live: Running, make: Any) -> None:
    engine: AnyEngine = make()
    live.service.model_manager().add_chat_completions_model("endless", engine)
    with RawClient(live.address) as raw:
        raw.send(post_bytes(PATH, {**CHAT, "model": "endless", "stream": True}))
        raw.read_until(b"xxx")
        halted = settled(engine)
        assert halted < ENDLESS

        for _ in range(200):
            raw.sock.recv(65536)
        eventually(lambda: produced(engine) > halted, "it goes on when the client reads on")

    assert closed(engine).wait(DEADLINE), "and ends when the client leaves"


def settled(engine: Any) -> int:
    """How far the engine came before it stopped producing."""
    seen = -1
    pause = threading.Event()
    while engine.produced != seen:
        seen = engine.produced
        pause.wait(0.2)
    return seen


def produced(engine: Any) -> int:
    """How many chunks the engine has produced."""
    count: int = engine.produced
    return count


def closed(engine: Any) -> threading.Event:
    """Set when the engine's generator was closed."""
    event: threading.Event = engine.closed
    return event
