"""The way of a request: counted as it is defined, and followed for real."""

from __future__ import annotations

from tests.bench.way import CASES, Way, travelled

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


def test_a_relayed_request_is_followed_from_its_socket_to_its_socket() -> None:
    with travelled() as follow:
        ways = {case.name: follow(case.request) for case in CASES}
    for name, way in ways.items():
        assert "http/http_service/resources/generate.py" in way.rooms, name
        assert "actors/registry/registry.py" in way.rooms, name
    assert "actors/engines/upstream/engine.py" in ways["relay, unary"].rooms
    assert "actors/engines/upstream/engine.py" not in ways["in process, unary"].rooms
