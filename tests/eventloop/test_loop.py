"""The loop's rules, each under its name, and what its handlers may rely on."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from functools import partial

import pytest

from actors.eventloop import GONE, READ, WRITE, EventLoop, LoopStopped, Watch, shared_loop
from actors.eventloop.bell import Bell
from actors.testing import FakeClock
from tests.engines.recording import DEADLINE, wait_until
from tests.eventloop.conftest import MakePoller, Pair


class Recorder:
    """A handler that reads, remembers, and does what it is told."""

    def __init__(self, sock: socket.socket, then: Callable[[], object] = lambda: None) -> None:
        self.sock = sock
        self.then = then
        self.events: list[int] = []
        self.data = b""
        self.errors: list[BaseException] = []

    def ready(self, events: int) -> None:
        self.events.append(events)
        if events & READ:
            self.data += self.sock.recv(100)
        self.then()

    def failed(self, error: BaseException) -> None:
        self.errors.append(error)


def fail() -> None:
    raise ZeroDivisionError


def running(loop: EventLoop) -> threading.Thread:
    """Run ``loop`` on a thread of its own."""
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    return thread


def reached(loop: EventLoop) -> threading.Event:
    """Set once the loop has come to a call made now."""
    event = threading.Event()
    loop.call(event.set)
    return event


# Watches


def test_a_watched_socket_is_told_of_until_its_watch_is_closed(loop: EventLoop, pair: Pair) -> None:
    left, right = pair
    recorder = Recorder(left)
    watch = loop.watch(left.fileno(), recorder, READ)
    right.send(b"a")
    loop.step(1.0)
    assert (recorder.events, recorder.data) == ([READ], b"a")
    watch.close()
    watch.close()
    right.send(b"b")
    loop.step(0)
    assert recorder.data == b"a"


def test_interest_can_change(loop: EventLoop, pair: Pair) -> None:
    left, right = pair
    recorder = Recorder(left)
    watch = loop.watch(left.fileno(), recorder, READ)
    watch.want(READ | WRITE)
    loop.step(1.0)
    watch.want(0)
    right.send(b"a")
    loop.step(0)
    assert recorder.events == [WRITE]
    watch.want(READ)
    loop.step(1.0)
    assert recorder.data == b"a"


def test_a_peer_that_leaves_is_told_to_who_wants_nothing_else(loop: EventLoop, pair: Pair) -> None:
    recorder = Recorder(pair[0])
    loop.watch(pair[0].fileno(), recorder, 0)
    pair[1].close()
    loop.step(1.0)
    assert recorder.events
    assert recorder.events[0] & GONE


def test_a_descriptor_is_watched_once(loop: EventLoop, pair: Pair) -> None:
    loop.watch(pair[0].fileno(), Recorder(pair[0]), READ)
    with pytest.raises(FileExistsError):
        loop.watch(pair[0].fileno(), Recorder(pair[0]), READ)


def test_an_event_of_a_descriptor_that_was_opened_anew_in_the_batch_is_dropped(
    loop: EventLoop,
) -> None:
    """Both sockets are readable; whoever comes first puts another one in the other's place."""
    with contextlib.ExitStack() as stack:
        sockets = [*socket.socketpair(), *socket.socketpair(), *socket.socketpair()]
        for sock in sockets:
            stack.callback(sock.close)
        left, left_peer, right, right_peer, quiet, _ = sockets
        late, watches = Recorder(quiet), dict[int, Watch]()

        def replace(other: socket.socket) -> None:
            fd = other.fileno()
            watches.pop(fd).close()
            other.close()
            os.dup2(quiet.fileno(), fd)
            stack.callback(os.close, fd)
            watches[fd] = loop.watch(fd, late, WRITE)

        for sock, other in ((left, right), (right, left)):
            recorder = Recorder(sock, partial(replace, other))
            watches[sock.fileno()] = loop.watch(sock.fileno(), recorder, READ)
        left_peer.send(b"x")
        right_peer.send(b"x")
        loop.step(1.0)
        assert late.events == []
        loop.step(1.0)
        assert late.events == [WRITE]
        for watch in watches.values():
            watch.close()


# Rule 1: one at a time


def test_rule_1_handlers_timers_and_calls_run_on_the_loops_thread(
    make_poller: MakePoller, pair: Pair
) -> None:
    loop = EventLoop(poller=make_poller)
    threads: list[int] = []
    done = threading.Event()

    def note() -> None:
        threads.append(threading.get_ident())
        assert loop.on_loop

    def begin() -> None:
        note()
        loop.watch(pair[0].fileno(), Recorder(pair[0], note), READ)
        loop.call_later(0.0, note)
        pair[1].send(b"x")
        loop.call_later(0.05, done.set)

    loop.call(begin)
    assert done.wait(DEADLINE)
    loop.stop()
    wait_until(lambda: not loop.on_loop and not loop.running)
    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()


def test_rule_1_calls_run_in_their_order_and_never_inside_one_another(loop: EventLoop) -> None:
    order: list[str] = []

    def first() -> None:
        loop.call(lambda: order.append("inner"))
        order.append("first")

    loop.call(first)
    loop.call(lambda: order.append("second"))
    loop.step(0)
    assert order == ["first", "second"]
    loop.step(0)
    assert order == ["first", "second", "inner"]


# Rule 2: a failure stays where it happens


def test_rule_2_a_handler_that_raises_loses_its_own_watch_and_is_told(
    loop: EventLoop, pair: Pair
) -> None:
    left, right = pair
    broken, whole = Recorder(left, fail), Recorder(right)
    loop.watch(left.fileno(), broken, READ)
    right.settimeout(0)
    loop.watch(right.fileno(), whole, READ)
    right.send(b"a")
    left.send(b"b")
    loop.step(1.0)
    loop.step(0)
    assert [type(error) for error in broken.errors] == [ZeroDivisionError]
    assert (whole.data, whole.errors) == (b"b", [])
    right.send(b"c")
    loop.step(0)
    assert broken.data == b"a"
    loop.watch(left.fileno(), broken, READ)


def test_rule_2_a_timer_or_call_that_raises_is_logged_and_the_next_one_runs(
    loop: EventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []
    loop.call(fail)
    loop.call(lambda: ran.append("call"))
    loop.call_later(0, fail)
    loop.call_later(0, lambda: ran.append("timer"))
    with caplog.at_level(logging.ERROR, "actors.eventloop"):
        loop.step(0)
    assert sorted(ran) == ["call", "timer"]
    assert len(caplog.records) == 2


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
    rung: list[Bell] = []
    ran: list[int] = []

    ring = Bell.ring

    def count(bell: Bell) -> None:
        rung.append(bell)

    monkeypatch.setattr(Bell, "ring", count)  # the loop stays asleep meanwhile
    thread = threading.Thread(target=loop.step, args=(DEADLINE,))
    thread.start()
    wait_until(lambda: loop._sleeping)  # pyright: ignore[reportPrivateUsage]  # nobody else tells
    for number in range(100):
        loop.call(partial(ran.append, number))
    assert len(rung) == 1
    ring(rung[0])
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
    loop.deadline(7.0, lambda: fired.append("deadline"))
    loop.step(0)
    assert not fired
    clock.advance(5.0)
    loop.step(0)
    assert fired == ["timer"]
    clock.advance(5.0)
    loop.step(0)
    assert fired == ["timer", "deadline"]
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
