"""The loop's rules, each under its name, and what its handlers may rely on."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from functools import partial

import pytest

from actors.eventloop import HANGUP, READ, WRITE, EventLoop, FdHandle
from tests.engines.recording import DEADLINE
from tests.eventloop.conftest import MakePoller, Pair
from tests.eventloop.handlers import Recorder, fail

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
    watch.set_interest(READ | WRITE)
    loop.step(1.0)
    watch.set_interest(0)
    right.send(b"a")
    loop.step(0)
    assert recorder.events == [WRITE]
    watch.set_interest(READ)
    loop.step(1.0)
    assert recorder.data == b"a"


def test_a_peer_that_leaves_is_told_to_who_wants_nothing_else(loop: EventLoop, pair: Pair) -> None:
    recorder = Recorder(pair[0])
    loop.watch(pair[0].fileno(), recorder, 0)
    pair[1].close()
    loop.step(1.0)
    assert recorder.events
    assert recorder.events[0] & HANGUP


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
        late, watches = Recorder(quiet), dict[int, FdHandle]()

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
    threads: list[threading.Thread] = []
    done = threading.Event()

    def note() -> None:
        threads.append(threading.current_thread())
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
    threads[0].join(DEADLINE)  # its sockets are closed next
    assert not threads[0].is_alive()
    assert len(threads) == 3
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()


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
