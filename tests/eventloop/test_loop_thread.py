"""Which thread runs the loop: none, one, the next one; nothing is lost in between."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from actors.eventloop import READ, EventLoop, LoopStopped, shared_loop
from actors.eventloop.poller import Poller, Waker
from actors.testing import FakeClock, Gate
from tests.engines.recording import DEADLINE, wait_until
from tests.eventloop.conftest import MakePoller, Pair
from tests.eventloop.handlers import Recorder, reached, running

# Rule 3: the loop outlives its thread


def test_rule_3_watches_timers_and_calls_wait_for_the_next_run(
    make_poller: MakePoller, pair: Pair
) -> None:
    loop = EventLoop(poller=make_poller, autostart=False)
    recorder, fired = Recorder(pair[0]), threading.Event()
    thread = running(loop)
    loop.call(lambda: loop.watch(pair[0].fileno(), recorder, READ))
    loop.call(lambda: loop.call_later(0.01, fired.set))
    assert reached(loop).wait(DEADLINE)
    loop.stop()
    thread.join(DEADLINE)
    fired.clear()
    pair[1].send(b"x")
    waiting = reached(loop)
    assert not loop.running
    assert not recorder.data
    thread = running(loop)
    assert waiting.wait(DEADLINE)
    wait_until(lambda: recorder.data)
    loop.stop()
    thread.join(DEADLINE)
    loop.close()


def test_rule_3_a_new_run_takes_over_from_a_thread_that_hangs(
    make_poller: MakePoller, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.eventloop.loop.TAKE_OVER", 0.05)
    loop = EventLoop(poller=make_poller, autostart=False)
    hangs, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        go_on.wait(DEADLINE)

    recorder = Recorder(pair[0])
    loop.call(lambda: loop.watch(pair[0].fileno(), recorder, READ))
    loop.call(hang)
    first = running(loop)
    assert hangs.wait(DEADLINE)
    assert loop.busy_since is not None
    second = running(loop)
    assert reached(loop).wait(DEADLINE)
    pair[1].send(b"x")
    wait_until(lambda: recorder.data == b"x")
    go_on.set()
    first.join(DEADLINE)
    assert not first.is_alive()
    assert reached(loop).wait(DEADLINE)
    loop.stop()
    second.join(DEADLINE)
    loop.close()


def test_rule_3_what_breaks_the_loop_itself_leaves_all_to_the_next_run(
    make_poller: MakePoller,
) -> None:
    loop = EventLoop(poller=make_poller, autostart=False)

    def interrupt() -> None:
        raise KeyboardInterrupt

    loop.call(interrupt)
    with pytest.raises(KeyboardInterrupt):
        loop.run()
    assert not loop.running
    waiting = reached(loop)
    thread = running(loop)
    assert waiting.wait(DEADLINE)
    loop.stop()
    thread.join(DEADLINE)
    loop.close()


# Rule 4: one wake-up


def test_rule_4_any_number_of_calls_ring_once_until_the_loop_wakes(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[Waker] = []
    ran: list[int] = []

    wake = Waker.wake

    def count(waker: Waker) -> None:
        rung.append(waker)

    monkeypatch.setattr(Waker, "wake", count)  # the loop stays asleep meanwhile
    thread = threading.Thread(target=loop.step, args=(DEADLINE,))
    thread.start()
    wait_until(lambda: loop._sleeping)  # pyright: ignore[reportPrivateUsage]  # nobody else tells
    for number in range(100):
        loop.call(partial(ran.append, number))
    assert len(rung) == 1
    wake(rung[0])
    thread.join(DEADLINE)
    assert ran == list(range(100))


def test_rule_4_no_call_is_lost_whenever_it_comes(make_poller: MakePoller) -> None:
    loop = EventLoop(poller=make_poller)
    callers, calls = 4, 500
    ran: list[int] = []
    done = threading.Event()

    def note() -> None:
        ran.append(1)
        if len(ran) == callers * calls:
            done.set()

    def caller() -> None:
        for _ in range(calls):
            loop.call(note)

    threads = [threading.Thread(target=caller) for _ in range(callers)]
    for thread in threads:
        thread.start()
    assert done.wait(DEADLINE)
    for thread in threads:
        thread.join()
    loop.stop()


# Its own thread, its end


def test_a_call_starts_a_thread_if_nobody_runs_the_loop() -> None:
    loop = EventLoop()
    assert not loop.running
    assert reached(loop).wait(DEADLINE)
    assert loop.running
    loop.stop()


def test_a_loop_that_was_stopped_starts_again_with_the_next_call() -> None:
    loop = EventLoop()
    assert reached(loop).wait(DEADLINE)
    loop.stop()
    assert reached(loop).wait(DEADLINE)
    loop.stop()


def test_closing_fails_every_watch(loop: EventLoop, pair: Pair) -> None:
    recorder = Recorder(pair[0])
    loop.watch(pair[0].fileno(), recorder, READ)
    loop.step(0)
    loop.close()
    loop.close()
    assert [type(error) for error in recorder.errors] == [LoopStopped]


def test_a_call_after_the_close_is_let_go() -> None:
    loop = EventLoop()
    loop.close()
    ran: list[int] = []
    loop.call(lambda: ran.append(1))
    assert not loop.running
    assert not ran


def test_timers_follow_the_clock_that_was_given(make_poller: MakePoller) -> None:
    clock = FakeClock()
    loop = EventLoop(clock.monotonic, make_poller, autostart=False)
    fired: list[str] = []
    loop.call_later(5.0, lambda: fired.append("timer"))
    loop.call_later(7.0, lambda: fired.append("later"))
    loop.step(0)
    assert not fired
    clock.advance(5.0)
    loop.step(0)
    assert fired == ["timer"]
    clock.advance(5.0)
    loop.step(0)
    assert fired == ["timer", "later"]
    loop.close()


def test_timers_that_make_timers_do_not_starve_the_sockets(loop: EventLoop, pair: Pair) -> None:
    def again() -> None:
        loop.call_later(0, again)

    again()
    recorder = Recorder(pair[0])
    loop.watch(pair[0].fileno(), recorder, READ)
    pair[1].send(b"x")
    loop.step(1.0)
    assert recorder.data == b"x"


def test_whoever_names_no_loop_shares_one() -> None:
    assert shared_loop() is shared_loop()


class Sleepless:
    """A poller that notes how long the loop would have slept."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self.slept: list[float] = []
        self.add, self.change, self.remove = poller.add, poller.change, poller.remove
        self.close = poller.close

    def poll(self, timeout: float, /) -> list[tuple[int, int]]:
        self.slept.append(timeout)
        return self._poller.poll(0)


def test_a_loop_whose_timers_were_cancelled_sleeps(make_poller: MakePoller) -> None:
    clock, poller = FakeClock(), Sleepless(make_poller())
    loop = EventLoop(clock.monotonic, lambda: poller, autostart=False)
    loop.call_later(5.0, lambda: None).cancel()
    clock.advance(5.0)
    for _ in range(3):
        loop.step(60.0)
    assert poller.slept[1:] == [60.0, 60.0]
    loop.close()


def test_a_loop_that_is_stopped_before_its_thread_begins_does_not_run(
    make_poller: MakePoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, ran, begun = EventLoop(poller=make_poller), list[int](), list[threading.Thread]()
    start = threading.Thread.start

    def put_off(thread: threading.Thread) -> None:
        begun.append(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", put_off)
        loop.call(lambda: ran.append(1))
        loop.stop()
    start(begun[0])
    begun[0].join(DEADLINE)
    assert not begun[0].is_alive()
    assert not ran
    assert reached(loop).wait(DEADLINE)
    assert ran == [1]
    loop.stop()


def test_a_run_without_a_descriptor_for_its_poller_leaves_the_loop_to_the_next(
    make_poller: MakePoller,
) -> None:
    full = [True]

    def make() -> Poller:
        if full:
            raise OSError(full.pop(), "too many open files")
        return make_poller()

    loop = EventLoop(poller=make)
    failed = threading.Event()
    loop.on_crash(lambda _error: failed.set())
    first = reached(loop)
    assert failed.wait(DEADLINE)
    wait_until(lambda: not loop.running)
    assert reached(loop).wait(DEADLINE)
    assert first.is_set()
    loop.stop()


def test_rule_3_whoever_hung_takes_the_turn_from_nobody_when_it_returns(
    make_poller: MakePoller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third runner waits for the second, not for the lock that the first gives back at last."""
    monkeypatch.setattr("actors.eventloop.loop.TAKE_OVER", 0.05)
    loop = EventLoop(poller=make_poller, autostart=False)
    gates = [Gate(), Gate()]
    loop.call(gates[0].hold)
    first = running(loop)
    gates[0].reached()
    second = running(loop)
    assert reached(loop).wait(DEADLINE)
    monkeypatch.setattr("actors.eventloop.loop.TAKE_OVER", DEADLINE)
    loop.call(gates[1].hold)
    gates[1].reached()
    gates[0].open()
    first.join(DEADLINE)
    third = running(loop)
    assert loop.thread == second.ident
    gates[1].open()
    second.join(DEADLINE)
    assert reached(loop).wait(DEADLINE)
    assert loop.thread == third.ident
    loop.stop()
    third.join(DEADLINE)
    loop.close()


def test_rule_3_a_lock_that_was_left_to_who_hung_is_not_the_turn_any_more(
    loop: EventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two wait for the one that hangs; one takes over just before it returns after all."""
    hung, successor = threading.Lock(), threading.Lock()

    class Left:
        def acquire(self, timeout: float) -> bool:
            successor.acquire()
            monkeypatch.setattr(loop, "_turn", successor)
            threading.Thread(target=successor.release).start()  # it ends, and only then may we
            return hung.acquire(timeout=timeout)

        def release(self) -> None:
            hung.release()

    monkeypatch.setattr(loop, "_turn", Left())
    assert loop._take_turn() is successor  # pyright: ignore[reportPrivateUsage]  # the race itself
    assert successor.locked()
    assert not hung.locked()


def test_a_call_that_another_runner_took_just_before_is_made_once(loop: EventLoop) -> None:
    """The other one takes over while this one is between two calls."""
    ran: list[str] = []

    def be_overtaken() -> None:
        ran.append("first")
        loop.pending.popleft()()

    loop.call(be_overtaken)
    loop.call(lambda: ran.append("second"))
    loop.step(0)
    assert ran == ["first", "second"]
