"""The load generator: open loop, honest about failures, and cheap."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter

import pytest

from tests.faults.load import HttpLoad, Target
from tests.faults.worlds.worker import Worker
from tests.support.waiting import eventually, free_port

MODEL = Target("m", words=3)


def load(address: tuple[str, int], rate: float = 100.0, deadline: float = 5.0) -> HttpLoad:
    targets = (MODEL, Target("m", stream=True, words=3))
    return HttpLoad(address, targets, rate, base=time.monotonic(), deadline=deadline)


def test_right_answers_are_counted_as_right_in_both_shapes() -> None:
    with Worker() as worker:
        calls = load(worker.address)
        calls.start()
        eventually(lambda: len(calls.recent(60.0)) >= 40)
        assert calls.running
        requests = calls.stop()
        assert not calls.running
    assert Counter(each.outcome for each in requests) == {"ok": len(requests)}
    assert {each.target for each in requests} == {"m", "m stream"}


def test_a_server_that_is_not_there_is_refused_and_does_not_slow_the_load_down() -> None:
    calls = load(("127.0.0.1", free_port()))
    calls.start()
    eventually(lambda: len(calls.recent(60.0)) >= 20)
    assert {each.outcome for each in calls.stop()} == {"refused"}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"", "cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "cut"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "wrong"),
        (b"nonsense\r\n\r\n", "wrong"),
    ],
)
def test_what_is_no_right_answer_is_told_as_what_it_is(answer: bytes, outcome: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                client, _ = door.accept()
                with client:
                    client.recv(65536)
                    client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        calls = load(door.getsockname())
        calls.start()
        eventually(lambda: len(calls.recent(60.0)) >= 5)
        requests = calls.stop()
        stop.set()
        socket.create_connection(door.getsockname()).close()
    assert {each.outcome.split(":")[0] for each in requests} == {outcome}


def test_a_server_that_says_nothing_is_late_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        calls = load(door.getsockname(), rate=20.0, deadline=0.2)
        calls.start()
        eventually(lambda: len(calls.recent(60.0)) >= 2)
        requests = calls.stop()
    assert {each.outcome for each in requests} == {"late"}
    assert all(0.2 <= each.took < 5.0 for each in requests)
