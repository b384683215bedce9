"""Several faults of one thing: each heals itself only, in whichever order."""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest

from actors.testing.faults import (
    ClockJump,
    Crash,
    CrashOnStart,
    EngineGarbage,
    EngineRaises,
    Fault,
    FaultUnavailable,
    FaultyEngine,
    Injected,
    LateReply,
    LostReply,
    Slow,
    ThreadExhaustion,
)
from actors.testing.faults.fault import Patch

HOUR = 3600.0
HOOKS: tuple[Callable[[type[Any]], Fault], ...] = (
    lambda each: Crash(each, when=lambda _message: False),
    lambda each: Slow(each, 0.0),
    lambda each: Crash(each, ZeroDivisionError),
)


class Worker(pykka.ThreadingActor):
    """Answers messages, and calls through a proxy."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        return message

    def double(self, number: int) -> int:
        return number * 2

    def nothing(self) -> str:
        return "nothing"


class Numbers:
    """An engine of two chunks."""

    def generate(self, request: Any, context: Any) -> Iterator[Any]:
        del request, context
        yield from (1, 2)


@pytest.fixture
def ref() -> Iterator[pykka.ActorRef[Worker]]:
    started = Worker.start()
    yield started
    started.stop(timeout=5)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_method_is_as_before_in_whichever_order_its_faults_heal(order: tuple[int, ...]) -> None:
    before = vars(Worker)["on_receive"]
    faults = [make(Worker) for make in HOOKS]

    def handle(*arguments: Any) -> Any:
        return vars(Worker)["on_receive"](*arguments)

    for fault in faults:
        fault.inject()
    for place in order:
        if faults[2].active:
            with pytest.raises(ZeroDivisionError):
                handle(None, 1)
        else:
            assert handle(None, 1) == 1
        faults[place].heal()
    assert vars(Worker)["on_receive"] is before


def test_a_fault_of_a_base_class_that_healed_is_gone_from_its_subclass() -> None:
    class Base:
        def on_receive(self, message: Any) -> Any:
            return message

    class Derived(Base):
        pass

    crash, slow = Crash(Base), Slow(Derived, 0.0)
    crash.inject()
    slow.inject()
    crash.heal()
    assert Derived().on_receive(7) == 7
    slow.heal()
    assert "on_receive" not in vars(Derived)


def test_the_clock_is_right_after_two_jumps_that_healed_in_the_order_they_came() -> None:
    real = time.time
    first, second = ClockJump(HOUR), ClockJump(2 * HOUR)
    first.inject()
    second.inject()
    assert time.time() - real() == pytest.approx(3 * HOUR, abs=60)
    first.heal()
    assert time.time() - real() == pytest.approx(2 * HOUR, abs=60)
    second.heal()
    assert time.time is real


def test_two_faults_of_one_inbox_heal_one_by_one(ref: pykka.ActorRef[Worker]) -> None:
    lost, late = LostReply(ref), LateReply(ref, 0.0)
    lost.inject()
    late.inject()
    late.heal()
    with pytest.raises(pykka.Timeout):
        ref.ask(1, timeout=0.1)
    lost.heal()
    assert ref.ask(1, timeout=5) == 1


def test_an_engine_goes_back_to_the_fault_that_is_still_on() -> None:
    engine = FaultyEngine(Numbers())
    with EngineRaises(engine, ZeroDivisionError):
        with EngineGarbage(engine, ["?"]):
            assert list(engine.generate(None, None)) == [1, "?", 2]
        with pytest.raises(ZeroDivisionError):
            list(engine.generate(None, None))
    assert list(engine.generate(None, None)) == [1, 2]


def test_what_a_proxy_calls_crashes_where_its_method_is_named(ref: pykka.ActorRef[Worker]) -> None:
    proxy: Any = ref.proxy()
    with Crash(Worker, method="double", when=lambda number: number == 4, times=1) as fault:
        assert proxy.double(3).get(timeout=5) == 6
        with pytest.raises(Injected):
            proxy.double(4).get(timeout=5)
        assert fault.happened == 1
        assert fault.parameters["method"] == "double"
    unasked = Crash(Worker, method="nothing", when=lambda first: first is None)
    with unasked, pytest.raises(Injected):
        proxy.nothing().get(timeout=5)
    assert proxy.double(4).get(timeout=5) == 8


class Plain:
    """Neither ``on_start`` nor ``on_receive``."""


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Crash(Plain), "Plain has no method 'on_receive'"),
        (CrashOnStart(Plain), "Plain has no method 'on_start'"),
        (Crash(Plain, method="do_POST"), "Plain has no method 'do_POST'"),
        (LostReply(Plain()), "no actor_inbox"),
        (Crash(queue.SimpleQueue, method="put"), "'put' can't be replaced"),
    ],
    ids=["message", "start", "method", "reply", "built-in"],
)
def test_what_can_not_misbehave_is_unavailable_by_name(fault: Fault, said: str) -> None:
    with pytest.raises(FaultUnavailable, match=said):
        fault.inject()
    assert not fault.active


def test_an_inbox_of_another_actor_system_still_takes_its_messages() -> None:
    class Ref:
        def __init__(self) -> None:
            self.actor_inbox: queue.Queue[Any] = queue.Queue()

    ref = Ref()
    with LostReply(ref) as fault:
        ref.actor_inbox.put(("hello", None), timeout=1)
    assert ref.actor_inbox.get_nowait() == ("hello", None)
    assert fault.happened == 0


def test_a_patch_is_removed_once_and_harmless_where_it_was_never_put() -> None:
    def twice(original: Any, *arguments: Any) -> Any:
        return original(*arguments) * 2

    patch = Patch(Numbers, "generate", twice)
    patch.remove()
    before = Numbers.generate
    patch.put()
    assert Numbers.generate is not before
    patch.remove()
    patch.remove()
    assert Numbers.generate is before


def test_threads_start_again_when_two_exhaustions_have_healed_in_order() -> None:
    first, second = ThreadExhaustion(lambda _name: False), ThreadExhaustion(lambda _name: False)
    first.inject()
    second.inject()
    first.heal()
    second.heal()
    assert Worker.start().stop(timeout=5)
