"""Engine faults: what a wrapped engine yields, and what became of its generators."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from actors import CancellationToken
from actors.testing.faults import (
    EngineBurns,
    EngineEndless,
    EngineGarbage,
    EngineHangs,
    EngineIgnoresCancel,
    EngineRaises,
    Fault,
    FaultyEngine,
    Injected,
)

WAIT = 10.0


class Numbers:
    """Yields 1, 2, 3."""

    def generate(self, request: Any, context: Any) -> Iterator[int]:
        yield from (1, 2, 3)


@pytest.fixture
def engine() -> FaultyEngine:
    return FaultyEngine(Numbers())


def start(engine: FaultyEngine) -> Iterator[Any]:
    return engine.generate(None, SimpleNamespace(token=CancellationToken()))


def test_a_healthy_engine_answers_as_the_one_inside(engine: FaultyEngine) -> None:
    assert list(start(engine)) == [1, 2, 3]
    assert (engine.started, engine.ended, engine.closed, engine.running) == (1, 1, 0, 0)


def test_a_generator_that_is_closed_is_counted_as_closed(engine: FaultyEngine) -> None:
    chunks = start(engine)
    assert next(chunks) == 1
    assert engine.running == 1
    chunks.close()  # type: ignore[attr-defined]  # a generator
    assert (engine.closed, engine.running) == (1, 0)
    assert engine.closed_at > 0


@pytest.mark.parametrize("after", [0, 2])
def test_it_raises_after_so_many_chunks(engine: FaultyEngine, after: int) -> None:
    seen: list[Any] = []
    with EngineRaises(engine, Injected, after=after):
        chunks = start(engine)
        seen.extend(next(chunks) for _ in range(after))
        with pytest.raises(Injected):
            next(chunks)
    assert seen == [1, 2, 3][:after]
    assert engine.ended == 1
    assert list(start(engine)) == [1, 2, 3]


def test_it_hangs_until_healed(engine: FaultyEngine) -> None:
    fault, done = EngineHangs(engine, after=1), threading.Event()
    seen: list[Any] = []

    def run() -> None:
        seen.extend(start(engine))
        done.set()

    with fault:
        threading.Thread(target=run, daemon=True).start()
        assert not done.wait(0.05)
    assert done.wait(WAIT)
    assert seen == [1, 2, 3]


def test_garbage_comes_among_the_good(engine: FaultyEngine) -> None:
    with EngineGarbage(engine, [None, b"?"], after=2):
        assert list(start(engine)) == [1, 2, None, b"?", 3]


def test_an_endless_answer_ends_on_healing(engine: FaultyEngine) -> None:
    fault = EngineEndless(engine)
    with fault:
        chunks = start(engine)
        assert [next(chunks) for _ in range(3)] == [1, 1, 1]
    assert list(chunks) == []


def test_it_ignores_its_cancelled_token(engine: FaultyEngine) -> None:
    token, resumed = CancellationToken(), threading.Event()
    token.cancel()
    fault = EngineIgnoresCancel(engine, WAIT)
    with fault:
        chunks = engine.generate(None, SimpleNamespace(token=token))
        assert next(chunks) == 1

        def go_on() -> None:
            next(chunks)
            resumed.set()

        threading.Thread(target=go_on, daemon=True).start()
        assert not resumed.wait(0.05)
    assert resumed.wait(WAIT)


def test_it_burns_before_it_answers(engine: FaultyEngine) -> None:
    with EngineBurns(engine, 0.01):
        assert list(start(engine)) == [1, 2, 3]


def test_an_engine_fault_counts_the_answers_that_met_it(engine: FaultyEngine) -> None:
    faults: list[Fault] = [
        EngineRaises(engine, Injected, after=5),
        EngineGarbage(engine, [None]),
        EngineIgnoresCancel(engine, 0.0),
        EngineBurns(engine, 0.0),
    ]
    for fault in faults:
        assert list(start(engine)) == [1, 2, 3]
        assert fault.happened == 0
        with fault, suppress(Injected):
            for _ in start(engine):
                pass
        assert fault.happened == 1, fault
    with EngineHangs(engine, after=1) as hangs, EngineEndless(engine) as endless:
        assert next(start(engine)) == 1
    assert (hangs.happened, endless.happened) == (0, 1)  # the one injected last counts
