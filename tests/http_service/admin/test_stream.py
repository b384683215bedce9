"""The live stream: topics, going on where it broke off, slow readers, too many of them."""

from __future__ import annotations

import json
import logging
import socket
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPResponse
from typing import Any

import pytest

from actors.service import Service
from http_service.admin.feed import MAX_READERS, Snapshot, cursor_of
from tests.http_service.admin.conftest import Start, admin, change, read
from tests.support.chat import chat, stream_lines
from tests.support.waiting import eventually

Told = tuple[str, Any, str]


@contextmanager
def stream(service: Service, query: str = "", **headers: str) -> Generator[Iterator[Told]]:
    """The events of one reader: topic, document, id."""
    request = urllib.request.Request(f"{admin(service)}/stream{query}", headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        yield told_by(answer)


def told_by(answer: HTTPResponse) -> Iterator[Told]:
    fields: dict[str, str] = {}
    for raw in answer:
        line = raw.decode().rstrip("\n")
        if line.startswith(":"):
            continue
        if not line:
            if fields:
                yield fields["event"], json.loads(fields["data"]), fields["id"]
            fields = {}
            continue
        name, _, value = line.partition(": ")
        fields[name] = value


def until(told: Iterator[Told], topic: str) -> Told:
    return next(each for each in told if each[0] == topic)


def test_a_new_reader_gets_the_state_at_once_and_then_what_comes(start: Start) -> None:
    service = start()
    with stream(service) as told:
        seen = {topic: document for topic, document, _ in (next(told), next(told))}
        assert seen["tree"]["id"] == "callboard"
        assert seen["models"][0]["id"] == "echo"
        chat(service.url, "echo")
        rows = until(told, "requests")[1]
        assert [each["model"] for each in rows] == ["echo"]
        assert until(told, "stats")[1]["series"]["memory"] > 0


def test_models_alone_tell_the_first_token_of_an_instance(start: Start) -> None:
    service = start()
    stream_lines(service.url, "echo")
    with stream(service, "?topics=models") as told:
        eventually(lambda: next(told)[1][0]["instances"][0]["first_token"], 10, "it was told")


def test_only_what_was_asked_for_is_told(start: Start) -> None:
    service = start()
    with stream(service, "?topics=events,requests") as told:
        chat(service.url, "echo")
        assert next(told)[0] == "requests"
        change(f"{admin(service)}/tree/registry:restart")
        assert next(told)[0] == "events"


def test_the_tree_is_told_when_a_child_was_killed(start: Start) -> None:
    service = start()
    with stream(service, "?topics=tree") as told:
        next(told)
        service.tree.kill_child("registry")

        def restarts() -> int:
            children: list[dict[str, Any]] = next(told)[1]["children"]
            found: int = next(each for each in children if each["id"] == "registry")["restarts"]
            return found

        eventually(lambda: restarts() == 1, 10, "its restart was told")


def test_a_reader_goes_on_where_it_broke_off(start: Start) -> None:
    service = start()
    with stream(service, "?topics=events,requests") as told:
        chat(service.url, "echo")
        last = until(told, "requests")[2]
    for _ in range(3):
        chat(service.url, "echo")
    with stream(service, "?topics=events,requests", **{"last-event-id": last}) as told:
        assert [each["sequence"] for each in until(told, "requests")[1]] == [2, 3, 4]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (None, (7, 9)),
        ("", (7, 9)),
        ("3-5", (3, 5)),
        ("8-5", (0, 5)),
        ("3-99", (3, 0)),
        ("x-5", (7, 9)),
        ("-3-5", (7, 9)),
        ("3", (7, 9)),
        ("1" * 50 + "-2", (7, 9)),
    ],
)
def test_an_id_that_is_none_of_ours_begins_with_the_newest(
    last: str | None, expected: tuple[int, int]
) -> None:
    cursor = cursor_of(last, 7, 9)
    assert (cursor.events, cursor.requests) == expected


def test_a_state_has_a_new_version_only_when_it_changed() -> None:
    snapshot = Snapshot("tree")
    snapshot.update("a", lambda: {"x": 1})
    snapshot.update("a", lambda: {"x": 2})
    assert (snapshot.version, snapshot.data) == (1, b'event: tree\ndata: {"x":1}\n')
    snapshot.update("b", lambda: {"x": 3})
    assert snapshot.version == 2


@pytest.mark.parametrize("topics", ["nope", "tree,nope", "%00", "x" * 300])
def test_an_unknown_topic_is_refused(start: Start, topics: str) -> None:
    status, answer = read(f"{admin(start())}/stream?topics={topics}")
    assert (status, answer["error"]["param"]) == (400, "topics")


def test_sixteen_read_and_no_more(start: Start) -> None:
    service = start()
    with ExitStack() as stack:
        readers = [stack.enter_context(stream(service)) for _ in range(MAX_READERS)]
        for told in readers:
            next(told)
        status, answer = read(f"{admin(service)}/stream")
        assert (status, answer["error"]["type"]) == (429, "rate_limit_error")
    eventually(lambda: _reads(service), 10, "their places are free again")


def _reads(service: Service) -> bool:
    try:
        with stream(service) as told:
            return bool(next(told))
    except urllib.error.HTTPError:
        return False


def test_readers_that_read_nothing_cost_the_service_nothing(start: Start) -> None:
    service = start()
    host, port = admin(service).split("/")[2].split(":")
    with ExitStack() as stack:
        for _ in range(MAX_READERS):
            sock = stack.enter_context(socket.create_connection((host, int(port))))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.sendall(b"GET /admin/v1/stream HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        eventually(lambda: len(_feed(service).readers) == MAX_READERS, 10, "all of them joined")
        for _ in range(300):
            assert chat(service.url, "echo")[0] == 200
        assert read(f"{admin(service)}/overview")[1]["restarts"] == 0


def _feed(service: Service) -> Any:
    assert service.admin is not None
    return service.admin.parts.feed


def test_a_reader_of_http_1_0_gets_it_without_chunks(start: Start) -> None:
    service = start()
    host, port = admin(service).split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10) as sock:
        sock.sendall(b"GET /admin/v1/stream?topics=tree HTTP/1.0\r\n\r\n")
        data = b""
        while b"event: tree\n" not in data:
            data += sock.recv(65536)
    assert b"transfer-encoding" not in data
    assert b"\r\n\r\nevent: tree\ndata: {" in data


def test_a_stopped_feed_ends_its_responses(start: Start) -> None:
    service = start()
    with stream(service, "?topics=tree") as told:
        next(told)
        service.tree.stop_child("feed")
        assert {topic for topic, _, _ in told} <= {"tree"}
    service.tree.restart_child("feed")
    with stream(service, "?topics=tree") as told:
        assert next(told)[0] == "tree"


def test_a_service_that_stops_ends_its_streams_and_logs_them(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "http_service.access")
    service = start()
    with stream(service, "?topics=tree") as told:
        next(told)
        change(f"{admin(service)}/service:drain", {"confirm": "drain"})
        service.stop()
        assert {topic for topic, _, _ in told} <= {"tree"}
    lines = [each.getMessage() for each in caplog.records if each.name == "http_service.access"]
    assert [each for each in lines if each.startswith("GET /admin/v1/stream 200 in")]
