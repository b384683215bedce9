"""The engines that the contract suite holds to account, each made to behave in given ways."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from typing import Any

import orjson

from actors.engines import (
    Chunk,
    Context,
    EchoEngine,
    Engine,
    EngineRejected,
    EngineRequest,
    Sink,
    as_push_engine,
    tokens_in,
)
from actors.engines.llama import LlamaEngine
from actors.engines.llama.host import bundled_model
from actors.engines.upstream import UpstreamEngine
from actors.supervision.errors import Cancelled
from tests.engines.asking import chat, complete
from tests.engines.raw_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Line,
    RawServer,
    Script,
    answer,
    chunked,
    says,
)


class Way(Enum):
    """How an engine is to behave."""

    ANSWER = auto()
    """Three tokens, then the usage."""
    PAUSE = auto()
    """Something, then nothing more until cancelled."""
    REJECT = auto()
    """An ``EngineError`` with status 400 before anything else."""
    REJECT_LATER = auto()
    """An ``EngineError`` after a chunk."""
    CRASH = auto()
    """A ``ZeroDivisionError`` before anything else."""
    CRASH_LATER = auto()
    """A ``ZeroDivisionError`` after a chunk."""


Stage = AbstractContextManager[tuple[Engine, EngineRequest]]


@dataclass(frozen=True)
class Subject:
    """An engine under test: ``stage(way)`` gives it, and a request that makes it go that way."""

    name: str
    stage: Callable[[Way], Stage]
    ways: frozenset[Way] = frozenset(Way)
    is_model: bool = False


def token(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}


FINISH: dict[str, Any] = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE: dict[str, Any] = {"choices": [], "usage": {"completion_tokens": 3}}
WHOLE: tuple[dict[str, Any], ...] = (token("one"), token(" two"), token(" three"), FINISH, USAGE)


def script(way: Way, context: Context, pause: Callable[[], None]) -> Iterator[Chunk]:
    """What the written engines yield; ``pause`` waits for the cancellation."""
    match way:
        case Way.REJECT:
            raise EngineRejected("no such thing")
        case Way.CRASH:
            _ = 1 / 0
        case _:
            yield token("one")
    match way:
        case Way.ANSWER:
            yield from WHOLE[1:]
        case Way.PAUSE:
            pause()
        case Way.REJECT_LATER:
            raise EngineRejected("not any more")
        case _:
            _ = 1 / 0


class Generating:
    def __init__(self, way: Way) -> None:
        self.way = way

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        def pause() -> None:
            context.token.wait(60)

        yield from script(self.way, context, pause)


class AsyncGenerating:
    def __init__(self, way: Way) -> None:
        self.way = way

    async def generate(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
        for chunk in script(self.way, context, lambda: None):
            yield chunk
        if self.way is Way.PAUSE:
            await asyncio.sleep(60)


class Pushing:
    """A push engine as a user would write it, on the caller's thread."""

    def __init__(self, way: Way) -> None:
        self.way = way

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        if context.token.cancelled:
            sink.fail(Cancelled("cancelled"))
            return
        try:
            for chunk in script(self.way, context, lambda: None):
                sink.push(chunk, tokens_in(chunk))
        except Exception as error:  # noqa: BLE001  # as the contract has it
            sink.fail(error)
            return
        if self.way is Way.PAUSE:
            context.token.on_cancel(lambda: sink.fail(Cancelled("cancelled")))
        else:
            sink.finish()


def _written(make: Callable[[Way], Any]) -> Callable[[Way], Stage]:
    @contextlib.contextmanager
    def stage(way: Way) -> Generator[tuple[Engine, EngineRequest]]:
        yield as_push_engine(make(way)), chat()

    return stage


@contextlib.contextmanager
def _echo(way: Way) -> Generator[tuple[Engine, EngineRequest]]:
    engine = EchoEngine(delay=60.0 if way is Way.PAUSE else 0.0)
    yield engine, complete([1, 2, 3]) if way is Way.REJECT else chat()
    assert engine.close()


@contextlib.contextmanager
def _slow_echo(way: Way) -> Generator[tuple[Engine, EngineRequest]]:
    engine = EchoEngine(delay=60.0 if way is Way.PAUSE else 1e-6, now=time.time)
    yield engine, complete([1, 2, 3]) if way is Way.REJECT else chat()
    assert engine.close()


def event(chunk: dict[str, Any] | str) -> bytes:
    data = chunk if isinstance(chunk, str) else orjson.dumps(chunk).decode()
    return f"data: {data}\n\n".encode()


def _pausing(line: Line) -> None:
    line.hear()
    line.say(STREAM_HEAD + chunked(event(token("one"))))
    line.wait_for_hang_up()


_UPSTREAM: dict[Way, Script] = {
    Way.ANSWER: says(
        STREAM_HEAD,
        *(chunked(event(chunk)) for chunk in WHOLE),
        chunked(event("[DONE]")) + LAST_CHUNK,
    ),
    Way.PAUSE: _pausing,
    Way.REJECT: says(answer(400, b'{"error": {"message": "no such thing"}}')),
    Way.REJECT_LATER: says(
        STREAM_HEAD,
        chunked(event(token("one"))),
        chunked(event({"error": {"message": "secret", "code": 500}})) + LAST_CHUNK,
    ),
}


@contextlib.contextmanager
def _upstream(way: Way) -> Generator[tuple[Engine, EngineRequest]]:
    with RawServer(_UPSTREAM[way]) as server:
        engine = UpstreamEngine(server.url)
        yield engine, chat()
        assert engine.close()


@cache
def llama() -> LlamaEngine:
    """One model for the whole run: loading takes longest. Closed at the interpreter's exit."""
    return LlamaEngine(bundled_model(), "smollm2-135m-instruct", n_threads=1, n_parallel=2)


@contextlib.contextmanager
def _llama(way: Way) -> Generator[tuple[Engine, EngineRequest]]:
    asked = {
        Way.ANSWER: chat("Hi", max_tokens=3, temperature=0, ignore_eos=True),
        Way.PAUSE: chat("Hi", max_tokens=1500, temperature=0, ignore_eos=True),
        Way.REJECT: chat("word " * 2500),
    }
    yield llama(), asked[way]


_ENDINGS = frozenset({Way.ANSWER, Way.PAUSE, Way.REJECT})

SUBJECTS = (
    Subject("generator", _written(Generating)),
    Subject("async-generator", _written(AsyncGenerating)),
    Subject("push", _written(Pushing)),
    Subject("echo", _echo, _ENDINGS),
    Subject("slow-echo", _slow_echo, _ENDINGS),
    Subject("upstream", _upstream, _ENDINGS | {Way.REJECT_LATER}),
    Subject("llama", _llama, _ENDINGS, is_model=True),
)
