"""The way of a request: counted as it is defined, and followed for real."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from tests.bench.peers.clients import Request
from tests.bench.way import CASES, Case, Way, calls_an_event, shortest, travelled

MOST_CALLS = {
    "relay, unary": 95,
    "relay, 64 tokens at once": 146,
    "in process, unary": 96,
    "in process, 64 tokens at once": 120,
}
"""Python calls of one request: 86, 137, 87 and 110, and what one more round of the loop costs on a
busy machine. Microseconds would differ from machine to machine."""

MOST_FILES, MOST_CHANGES = 25, 110
"""Files that a relayed stream of four tokens visits, and changes of file: 25 and 97."""

LOOKS = 30
"""How often a way that is too long is looked for once more."""

MOST_CALLS_AN_EVENT = 12
"""11, and a share of the loop's own timers, which come in between."""

ORDER = (
    "http/http_service/server/waitress_channel.py",
    "http/http_service/server/parser.py",
    "http/http_service/api/generate.py",
    "http/http_service/api/validation.py",
    "actors/supervision/calling_thread_actor.py",
    "actors/registry/registry.py",
    "http/http_service/streaming/exchange.py",
    "actors/engines/pool/pool.py",
    "actors/engines/upstream/engine.py",
    "actors/engines/upstream/call.py",
    "actors/engines/upstream/connection.py",
)
"""The files of a relayed request, in the order in which it comes to them."""

WAY = Way([
    ("a.py", "first"), ("", "library"), ("a.py", "second"), ("b.py", "third"),
    ("a.py", "first"), ("", "library"), ("c.py", "fourth"),
])  # fmt: skip


def test_calls_are_all_python_calls_and_own_ones_are_in_the_products_files() -> None:
    assert (WAY.calls, len(WAY.own)) == (7, 5)


def test_rooms_are_files_in_order_of_their_first_call() -> None:
    assert WAY.rooms == ["a.py", "b.py", "c.py"]


def test_a_call_into_a_library_and_back_is_not_a_change_of_file() -> None:
    assert WAY.changes == 3


def test_a_files_functions_stand_once_each_in_order() -> None:
    assert WAY.functions("a.py") == ["first", "second"]


@pytest.fixture
def quiet() -> Iterator[None]:
    """No access lines through Python's logging, which another test may have left switched on."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)


def _undisturbed(follow: Callable[[Request], Way], case: Case) -> Way:
    """The shortest way of ``case``, looked for until it is as short as it must be.

    On a busy machine most ways have some rounds of the loop more; a way that is too long is so each
    time.
    """
    best = shortest(follow, case.request)
    for _ in range(LOOKS):
        if best.calls <= MOST_CALLS.get(case.name, best.calls):
            break
        best = min(best, shortest(follow, case.request), key=lambda way: way.calls)
    return best


@pytest.mark.usefixtures("quiet")
def test_a_relayed_request_is_followed_from_its_socket_to_its_socket() -> None:
    with travelled() as follow:
        ways = {case.name: _undisturbed(follow, case) for case in CASES}
        event = calls_an_event(follow)
        for _ in range(LOOKS):
            if event > MOST_CALLS_AN_EVENT:
                event = min(event, calls_an_event(follow))
    for name, way in ways.items():
        assert "http/http_service/api/generate.py" in way.rooms, name
        assert "actors/registry/registry.py" in way.rooms, name
    assert [file for file in ways["relay, unary"].rooms if file in ORDER] == [*ORDER]
    assert "actors/engines/upstream/engine.py" not in ways["in process, unary"].rooms
    assert event <= MOST_CALLS_AN_EVENT
    stream = ways["relay, stream of 4 tokens"]
    assert len(stream.rooms) <= MOST_FILES, stream.rooms
    assert stream.changes <= MOST_CHANGES
    for name, most in MOST_CALLS.items():
        assert ways[name].calls <= most, f"{name}: {ways[name].calls} Python calls"
