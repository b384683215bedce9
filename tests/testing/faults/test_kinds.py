"""Handler faults on every kind of function: plain, coroutine, generator, asynchronous generator."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import pytest

from actors.testing.faults import Crash, Fault, Hang, Injected, Poison, Slow, injected

WAIT = 10.0


class Handler:
    """One method of each kind."""

    def plain(self, message: int) -> int:
        return message * 2

    async def coroutine(self, message: int) -> int:
        await asyncio.sleep(0)
        return message * 2

    def generator(self, message: int) -> Generator[int, int, str]:
        sent = yield message
        yield sent
        return "done"

    async def items(self, message: int) -> AsyncGenerator[int, int]:
        try:
            sent = yield message
            yield sent
        except ZeroDivisionError:
            yield -1
        finally:
            self.closed = True


KINDS = ("plain", "coroutine", "generator", "items")
FAULTS: dict[str, Callable[[str], Fault]] = {
    "crash": lambda method: Crash(Handler, method=method),
    "hang": lambda method: Hang(Handler, method=method),
    "slow": lambda method: Slow(Handler, 60.0, method=method),
}


def kind_of(method: Any) -> tuple[bool, ...]:
    tests = (inspect.iscoroutinefunction, inspect.isasyncgenfunction, inspect.isgeneratorfunction)
    return tuple(test(method) for test in tests)


@pytest.mark.parametrize("method", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_function_stays_of_its_kind_while_a_fault_is_on(fault: str, method: str) -> None:
    before = kind_of(getattr(Handler, method))
    with FAULTS[fault](method), Slow(Handler, 0.0, method=method):
        assert kind_of(getattr(Handler, method)) == before
        assert getattr(Handler, method).__name__ == method
    assert Handler.plain(Handler(), 1) == 2


async def _answer(method: str) -> Any:
    called = getattr(Handler(), method)(4)
    if method == "items":
        return [each async for each in called]
    return await called


@pytest.mark.parametrize("method", ["coroutine", "items"])
@pytest.mark.parametrize("fault", ["slow", "hang"])
def test_the_loop_goes_on_while_a_coroutine_is_held_and_healing_lets_it_finish(
    fault: str, method: str
) -> None:
    async def run() -> tuple[Any, int]:
        with FAULTS[fault](method) as on:
            held = asyncio.create_task(_answer(method))
            await asyncio.sleep(0)  # it runs up to where it waits
            assert on.happened == 1
            turns = [await asyncio.sleep(0, result=1) for _ in range(100)]
            assert not held.done()
        async with asyncio.timeout(WAIT):
            return await held, sum(turns)

    answer, turns = asyncio.run(run())
    assert answer == (8 if method == "coroutine" else [4, None])
    assert turns == 100


def test_a_slow_coroutine_takes_its_time_and_a_hundred_of_them_take_it_together() -> None:
    async def run() -> float:
        begun = time.monotonic()
        await asyncio.gather(*(Handler().coroutine(1) for _ in range(100)))
        return time.monotonic() - begun

    with Slow(Handler, 0.1, method="coroutine") as fault:
        took = asyncio.run(run())
    assert 0.1 <= took < 5.0  # one after the other they would take ten seconds
    assert fault.happened == 100


def decorated(method: Callable[..., Any]) -> Callable[..., Any]:
    """As decorators often are: a plain function, whatever it decorates."""

    def call(*arguments: Any) -> Any:
        return method(*arguments)

    return call


class Decorated:
    """Coroutines that do not look like any."""

    wrapped = decorated(Handler.coroutine)
    partial = functools.partialmethod(Handler.coroutine)
    plain = decorated(Handler.plain)


@pytest.mark.parametrize("method", ["wrapped", "partial"])
def test_a_coroutine_in_a_plain_function_does_not_hold_the_loop_either(method: str) -> None:
    async def run() -> int:
        with Hang(Decorated, method=method) as fault:
            held = asyncio.create_task(getattr(Decorated(), method)(4))
            await asyncio.sleep(0)
            assert (fault.happened, held.done()) == (1, False)
        return await asyncio.wait_for(held, WAIT)

    assert asyncio.run(run()) == 8


def test_a_plain_function_that_is_called_on_a_loop_is_slow_as_it_would_be() -> None:
    async def run() -> int:
        answer: int = Decorated().plain(4)
        return answer

    begun = time.monotonic()
    with Slow(Decorated, 0.1, method="plain"):
        assert asyncio.run(run()) == 8
    assert time.monotonic() - begun >= 0.1


def test_healing_from_another_thread_lets_a_coroutine_go_on() -> None:
    fault = Hang(Handler, method="coroutine")

    def heal() -> None:
        assert fault.begun.wait(WAIT)
        fault.heal()

    healer = threading.Thread(target=heal)
    with fault:
        healer.start()
        assert asyncio.run(asyncio.wait_for(Handler().coroutine(3), WAIT)) == 6
    healer.join(WAIT)


def test_a_held_coroutine_can_be_cancelled() -> None:
    async def run() -> None:
        async with asyncio.timeout(0.05):
            await Handler().coroutine(1)

    with Slow(Handler, 60.0, method="coroutine"), pytest.raises(TimeoutError):
        asyncio.run(run())


@pytest.mark.parametrize("method", ["coroutine", "generator", "items"])
def test_nothing_happens_when_it_is_called_but_when_it_runs(method: str) -> None:
    async def run(called: Any) -> None:
        if method == "generator":
            next(called)
        else:
            await (anext(called) if method == "items" else called)

    with Crash(Handler, method=method, when=lambda message: message == 4) as fault:
        called = getattr(Handler(), method)(4)
        assert fault.happened == 0
        with pytest.raises(Injected):
            asyncio.run(run(called))
        assert fault.happened == 1


def test_a_crash_chooses_its_messages_and_its_times_of_a_coroutine_too() -> None:
    with Crash(Handler, method="coroutine", when=lambda m: m == 1, times=1) as fault:
        assert asyncio.run(Handler().coroutine(2)) == 4
        with pytest.raises(Injected):
            asyncio.run(Handler().coroutine(1))
        assert asyncio.run(Handler().coroutine(1)) == 2
    assert fault.happened == 1


def test_two_faults_of_one_coroutine_are_both_met() -> None:
    slow = Slow(Handler, 0.01, method="coroutine")
    crash = Crash(Handler, method="coroutine")
    with injected(crash, slow), pytest.raises(Injected):
        asyncio.run(Handler().coroutine(1))
    assert (slow.happened, crash.happened) == (1, 1)


def test_what_is_sent_and_thrown_into_a_generator_reaches_it() -> None:
    async def run() -> list[Any]:
        handler = Handler()
        items = handler.items(1)
        seen: list[Any] = [await anext(items), await items.asend(7)]
        seen.append(await items.athrow(ZeroDivisionError))
        await items.aclose()
        return [*seen, handler.closed]

    with Slow(Handler, 0.0, method="items"), Slow(Handler, 0.0, method="generator"):
        assert asyncio.run(run()) == [1, 7, -1, True]
        chunks = Handler().generator(1)
        assert (next(chunks), chunks.send(5)) == (1, 5)
        with pytest.raises(StopIteration, match="done"):
            next(chunks)


def test_a_generator_that_is_left_early_is_closed_within() -> None:
    async def run() -> bool:
        handler = Handler()
        items = handler.items(1)
        await anext(items)
        await items.aclose()
        return handler.closed

    with Slow(Handler, 0.0, method="items"):
        assert asyncio.run(run())


def test_a_poisoned_message_crashes_whoever_handles_it_each_time() -> None:
    class Consumer:
        async def on_receive(self, message: object) -> object:
            return message

    crashed: list[BaseException] = []

    def deliver(message: object) -> None:
        try:
            asyncio.run(Consumer().on_receive(message))
        except Injected as error:
            crashed.append(error)

    ended = threading.Event()

    def tell(message: object) -> None:
        deliver(message)
        if len(crashed) == 3:
            ended.set()

    with Poison(Consumer, tell, object(), deliveries=3, every=0.001) as poison:
        assert ended.wait(WAIT)
    assert poison.happened == 3
