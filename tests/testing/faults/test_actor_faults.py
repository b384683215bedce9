"""Actor faults bite on supervised actors and on stock Pykka alike, and heal without a trace."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pykka
import pytest

from actors import Child, Supervised, Supervisor
from actors.testing.faults import (
    Crash,
    CrashOnStart,
    Flood,
    Hang,
    HangOnStart,
    Injected,
    LateReply,
    LostReply,
    Poison,
    Slow,
    ThreadExhaustion,
)

WAIT = 10.0


class Stock(pykka.ThreadingActor):
    """Answers with what it is asked."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        return message


class Ours(Supervised):
    """The same, supervised."""

    def on_receive(self, message: Any) -> Any:
        return message


@pytest.fixture(params=[Stock, Ours])
def ref(request: pytest.FixtureRequest) -> Iterator[pykka.ActorRef[Any]]:
    ref = request.param.start()
    yield ref
    if ref.is_alive():
        ref.stop(timeout=WAIT)


def test_a_crash_raises_in_the_handler_until_healed(ref: pykka.ActorRef[Any]) -> None:
    fault = Crash(ref.actor_class, ZeroDivisionError, when=lambda each: each == 1)
    with fault:
        with pytest.raises(ZeroDivisionError):
            ref.ask(1, timeout=WAIT)
        assert ref.ask(2, timeout=WAIT) == 2
    assert ref.ask(1, timeout=WAIT) == 1
    assert fault.happened == 1


def test_a_crash_happens_only_so_many_times(ref: pykka.ActorRef[Any]) -> None:
    with Crash(ref.actor_class, times=1):
        with pytest.raises(Injected):
            ref.ask(1, timeout=WAIT)
        assert ref.ask(1, timeout=WAIT) == 1


def test_a_hang_holds_the_handler_and_healing_lets_it_finish(ref: pykka.ActorRef[Any]) -> None:
    fault = Hang(ref.actor_class)
    with fault:
        answer = ref.ask("late", block=False)
        assert fault.begun.wait(WAIT)
        with pytest.raises(pykka.Timeout):
            answer.get(timeout=0.02)
    assert answer.get(timeout=WAIT) == "late"


def test_a_slow_handler_takes_longer(ref: pykka.ActorRef[Any]) -> None:
    with Slow(ref.actor_class, 60.0):
        answer = ref.ask("slow", block=False)
        with pytest.raises(pykka.Timeout):
            answer.get(timeout=0.05)
    assert answer.get(timeout=WAIT) == "slow"  # healing ends the wait


def test_a_lost_reply_is_waited_for_in_vain(ref: pykka.ActorRef[Any]) -> None:
    with LostReply(ref, times=1) as fault:
        with pytest.raises(pykka.Timeout):
            ref.ask("lost", timeout=0.05)
        assert ref.ask("kept", timeout=WAIT) == "kept"
    assert fault.happened == 1
    assert ref.ask("kept", timeout=WAIT) == "kept"


def test_a_late_reply_comes_late(ref: pykka.ActorRef[Any]) -> None:
    with LateReply(ref, 0.1):
        answer = ref.ask("late", block=False)
        with pytest.raises(pykka.Timeout):
            answer.get(timeout=0.02)
        assert answer.get(timeout=WAIT) == "late"


def test_a_flood_sends_everything_and_counts_what_is_refused(ref: pykka.ActorRef[Any]) -> None:
    flood = Flood(ref.tell, "drop", 1000)
    flood.inject()
    assert flood.join(WAIT)
    assert (flood.sent, flood.refused, flood.happened) == (1000, 0, 1000)

    def refuse(_message: object) -> None:
        raise Injected

    with Flood(refuse, "drop", 10, senders=3) as refused:
        assert refused.join(WAIT)
    assert (refused.sent, refused.refused, refused.happened) == (0, 10, 10)


def test_start_faults_hit_the_next_incarnation() -> None:
    tree = Supervisor.start(Child("a", Ours.start), intensity=10)
    with CrashOnStart(Ours, times=2) as fault:
        tree.address("a").tell(_crash_once(tree))
        assert tree.address("a").ask("up", timeout=WAIT) == "up"
    assert fault.happened == 2
    assert tree.stop(timeout=WAIT)


def _crash_once(tree: Any) -> str:
    with Crash(Ours, times=1) as crash:
        ended = threading.Event()
        tree.address("a").watch(ended_by(ended))
        tree.address("a").tell("crash")
        assert ended.wait(WAIT)
        assert crash.happened == 1
    return "next"


def test_a_start_that_hangs_is_let_go_on_healing() -> None:
    started = threading.Event()

    class Slowly(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_start(self) -> None:
            started.set()

    with HangOnStart(Slowly):
        ref = Slowly.start()
        assert not started.wait(0.05)
    assert started.wait(WAIT)
    ref.stop(timeout=WAIT)


def test_a_poisoned_message_comes_again_and_crashes_each_time() -> None:
    tree = Supervisor.start(Child("a", Ours.start), intensity=1000)
    address = tree.address("a")
    # More than three: of two deliveries that wait at once, the first one's crash loses the other.
    with Poison(Ours, address.tell, object(), deliveries=1000, every=0.05) as poison:
        while poison.happened < 3:
            address.ask("between", timeout=WAIT)
    assert address.ask("after", timeout=WAIT) == "after"
    assert tree.stop(timeout=WAIT)


def test_no_thread_is_left_until_healed() -> None:
    with ThreadExhaustion(lambda name: name == "refused", times=2) as fault:
        threading.Thread(target=int, name="other").start()
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                threading.Thread(target=int, name="refused").start()
        threading.Thread(target=int, name="refused").start()
    assert (fault.refused, fault.happened) == (2, 2)


def test_a_class_is_as_before_once_all_is_healed() -> None:
    before = dict(vars(Ours))
    for fault in (Crash(Ours), Hang(Ours), Slow(Ours, 1.0), CrashOnStart(Ours), HangOnStart(Ours)):
        with fault:
            assert dict(vars(Ours)) != before
        assert dict(vars(Ours)) == before


def ended_by(event: threading.Event) -> Callable[[Any], None]:
    """A watcher that sets ``event``."""

    def watcher(_exit: Any) -> None:
        event.set()

    return watcher
