"""The adapters: which shape becomes what, and what they promise beyond the contract suite."""

from __future__ import annotations

import asyncio
import functools
import gc
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import pytest

from actors.engines import (
    AnyEngine,
    Chunk,
    Context,
    EchoEngine,
    EngineBusy,
    EngineRequest,
    as_push_engine,
)
from actors.supervision.cancellation import CancellationToken
from actors.supervision.errors import Cancelled
from tests.engines.asking import ask, chat
from tests.engines.recording import DEADLINE, RecordingSink, wait_until
from tests.engines.subjects import FINISH, USAGE, token


class Gated:
    """Yields one token, waits at a gate, goes on; remembers how it was left."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.left: list[str] = []
        self.most = 0
        self._running = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        with self._lock:
            self._running += 1
            self.most = max(self.most, self._running)

    def leave(self, how: str) -> None:
        with self._lock:
            self._running -= 1
            self.left.append(how)


class GatedGenerator(Gated):
    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        how = "to the end"
        self.enter()
        try:
            yield token("one")
            assert self.gate.wait(DEADLINE)
            yield token(" two")
        except GeneratorExit:
            how = "closed"
            raise
        finally:
            self.leave(how)


class GatedAsyncGenerator(Gated):
    async def generate(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
        how = "to the end"
        self.enter()
        try:
            yield token("one")
            while not self.gate.is_set():  # noqa: ASYNC110  # the gate is a thread's
                await asyncio.sleep(0.001)
            yield token(" two")
        except (GeneratorExit, asyncio.CancelledError) as error:
            how = type(error).__name__
            raise
        finally:
            self.leave(how)


both = pytest.mark.parametrize("make", [GatedGenerator, GatedAsyncGenerator])
MakeGated = Callable[[], GatedGenerator | GatedAsyncGenerator]


@both
def test_no_more_answers_run_than_are_allowed_and_the_rest_wait(make: MakeGated) -> None:
    gated = make()
    engine = as_push_engine(gated, max_running=2, max_waiting=3)
    sinks = [RecordingSink() for _ in range(5)]
    for sink in sinks:
        engine.start(chat(), sink, Context("r"))
    for sink in sinks[:2]:
        sink.wait_for_chunks()
    with pytest.raises(EngineBusy) as refusal:
        engine.start(chat(), RecordingSink(), Context("r"))
    assert refusal.value.retry_after == 1
    gated.gate.set()
    for sink in sinks:
        assert sink.wait_for_end().ends == ["finish"]
    assert gated.most == 2


@both
def test_a_finished_answer_makes_room(make: MakeGated) -> None:
    gated = make()
    gated.gate.set()
    engine = as_push_engine(gated, max_running=1, max_waiting=0)
    for _ in range(3):
        ask(engine, chat())
        wait_until(functools.partial(_has_room, engine))
    assert len(gated.left) == 6


def _has_room(engine: Any) -> bool:
    try:
        return ask(engine, chat()).ends == ["finish"]
    except EngineBusy:
        return False


@both
def test_a_waiting_answer_can_be_cancelled(make: MakeGated) -> None:
    gated = make()
    engine = as_push_engine(gated, max_running=1, max_waiting=1)
    first, second, context = RecordingSink(), RecordingSink(), Context("second")
    engine.start(chat(), first, Context("first"))
    first.wait_for_chunks()
    engine.start(chat(), second, context)
    context.token.cancel()
    second.wait_for_end()
    assert isinstance(second.error, Cancelled)
    assert not second.chunks
    gated.gate.set()
    assert first.wait_for_end().ends == ["finish"]


def test_a_cancelled_generator_is_closed_at_its_next_yield() -> None:
    gated = GatedGenerator()
    sink, context = RecordingSink(), Context("r")
    as_push_engine(gated).start(chat(), sink, context)
    sink.wait_for_chunks()
    context.token.cancel()
    gated.gate.set()
    sink.wait_for_end()
    assert gated.left == ["closed"]
    assert len(sink.chunks) == 1


def test_a_cancelled_async_generator_hears_of_it_at_once() -> None:
    gated = GatedAsyncGenerator()
    sink, context = RecordingSink(), Context("r")
    as_push_engine(gated).start(chat(), sink, context)
    sink.wait_for_chunks()
    context.token.cancel()
    sink.wait_for_end()
    assert gated.left == ["CancelledError"]


def test_all_async_generators_share_one_thread() -> None:
    names: list[str] = []

    class Where:
        async def generate(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
            names.append(threading.current_thread().name)
            yield FINISH

    for _ in range(2):
        ask(as_push_engine(Where()), chat())
    assert names == ["engines-asyncio"] * 2


def test_a_generator_runs_on_a_thread_of_its_engine() -> None:
    names: list[str] = []

    class Where:
        def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
            names.append(threading.current_thread().name)
            yield FINISH

    ask(as_push_engine(Where()), chat())
    assert names == ["engine-Where-1"]


def test_an_async_engine_that_cancels_itself_has_failed() -> None:
    class Quitter:
        async def generate(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
            yield token("one")
            raise asyncio.CancelledError

    sink = ask(as_push_engine(Quitter()), chat())
    assert isinstance(sink.error, RuntimeError)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
def test_an_engine_that_tries_to_end_the_process_fails_its_own_answer_only(
    error: BaseException,
) -> None:
    class Ending:
        def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
            yield token("one")
            raise error

    class AsyncEnding:
        async def generate(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
            yield token("one")
            raise error

    for engine in (as_push_engine(Ending()), as_push_engine(AsyncEnding())):
        assert ask(engine, chat()).ends == ["fail"]
        assert ask(engine, chat()).ends == ["fail"]


async def end_the_process() -> None:
    raise SystemExit(3)


def end_by_a_task() -> None:
    asyncio.get_running_loop().create_task(end_the_process())


def end_by_a_call() -> None:
    asyncio.get_running_loop().call_soon(sys.exit)


def stop_the_loop() -> None:
    asyncio.get_running_loop().stop()


@pytest.mark.parametrize("misdeed", [end_by_a_task, end_by_a_call, stop_the_loop])
def test_no_engine_can_end_the_loop_that_all_async_engines_share(
    misdeed: Callable[[], None],
) -> None:
    class Careless:
        async def generate(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
            misdeed()
            yield token("a")
            await asyncio.sleep(0)
            yield token("b")

    class Good:
        async def generate(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
            yield token("a")

    assert ask(as_push_engine(Careless()), chat()).chunks == [token("a"), token("b")]
    assert ask(as_push_engine(Good()), chat()).ends == ["finish"]


def test_a_failure_while_an_async_generator_is_cancelled_is_logged_and_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Stubborn:
        async def generate(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
            try:
                yield token("a")
                await asyncio.sleep(60)
            finally:
                raise RuntimeError("clean-up")

    cancellation = CancellationToken()
    sink = RecordingSink()
    as_push_engine(Stubborn()).start(chat(), sink, Context("r-9", cancellation))
    sink.wait_for_chunks()
    cancellation.cancel()
    assert isinstance(sink.wait_for_end().error, Cancelled)
    gc.collect()
    assert "clean-up" not in caplog.text  # asyncio's own line, with a traceback
    (record,) = [each for each in caplog.records if each.name != "asyncio"]
    assert vars(record)["request_id"] == "r-9"


def test_a_generator_that_fails_while_it_is_closed_fails_the_answer() -> None:
    class Stubborn:
        def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
            try:
                yield token("one")
                context.token.cancel()
                yield token("two")
            finally:
                raise ValueError("cleaning up failed")

    assert isinstance(ask(as_push_engine(Stubborn()), chat()).error, ValueError)


def test_an_iterator_that_is_no_generator_will_do() -> None:
    class Listed:
        def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
            return iter([token("one"), FINISH, USAGE])

    sink = ask(as_push_engine(Listed()), chat())
    assert sink.ends == ["finish"]
    assert sink.tokens == [1, 0, 0]


def test_a_wrapped_async_generator_is_recognised() -> None:
    class Wrapped:
        async def plain(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
            yield FINISH

        @functools.wraps(plain)
        def generate(self, *args: Any) -> AsyncIterator[Chunk]:
            return self.plain(*args)

    assert ask(as_push_engine(cast("AnyEngine", Wrapped())), chat()).ends == ["finish"]


def test_a_push_engine_is_passed_through() -> None:
    engine = EchoEngine()
    assert as_push_engine(engine) is engine


def test_what_has_neither_method_is_told_what_it_lacks() -> None:
    with pytest.raises(TypeError, match=r"object is not an engine.*start.*generate"):
        as_push_engine(cast("AnyEngine", object()))


def test_a_coroutine_function_is_told_to_yield() -> None:
    class Returning:
        async def generate(self, request: EngineRequest, context: Context) -> list[Chunk]:
            return [FINISH]

    with pytest.raises(TypeError, match="yields nothing"):
        as_push_engine(cast("AnyEngine", Returning()))
