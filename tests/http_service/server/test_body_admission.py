"""The budget for all request bodies: what is taken in, what counts, and when it is given back."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from waitress.adjustments import Adjustments

from http_service.config import HttpServiceConfig
from http_service.server.limits import BodyAdmission, body_budget, waitress_settings
from http_service.server.parser import Parser

HEAD = b"POST /v1/x HTTP/1.1\r\nHost: h\r\n"


@dataclass
class Held:
    reserved: int = 0


def intake(limit: int, *, reads: bool | None = True) -> BodyAdmission:
    return BodyAdmission(lambda _method, _path, _headers: reads, limit)


def parser(into: BodyAdmission, data: bytes) -> Any:
    made = Parser(Adjustments(**waitress_settings(HttpServiceConfig())), into)
    while data and not made.completed:
        data = data[made.received(data) :]
    return made


def sized(length: int, sent: int) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % length + b"x" * sent


def test_bodies_are_taken_in_up_to_the_limit_and_no_byte_more() -> None:
    it, one, other = intake(10), Held(), Held()

    assert it.reserve(one, 4)
    assert it.reserve(other, 6)
    assert not it.reserve(one, 1)
    assert (it.held, one.reserved, other.reserved) == (10, 4, 6)


def test_what_is_given_back_is_there_for_others_and_only_once() -> None:
    it, one, other = intake(10), Held(), Held()
    it.reserve(one, 10)

    it.release(one)
    it.release(one)

    assert it.held == 0
    assert it.reserve(other, 10)


def test_many_threads_leave_the_books_balanced() -> None:
    it = intake(1_000)

    def work() -> None:
        for _ in range(500):
            mine = Held()
            it.reserve(mine, 7)
            it.release(mine)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert it.held == 0


def test_a_body_counts_as_it_comes_and_not_as_it_was_announced() -> None:
    it = intake(1_000)
    made = parser(it, sized(900, 100))

    assert it.held == 100
    made.close()
    assert it.held == 0


def test_a_body_that_came_whole_with_its_head_is_not_counted() -> None:
    it = intake(1_000)

    assert parser(it, sized(900, 900)).completed
    assert it.held == 0


def test_a_body_without_room_is_refused_on_its_head_with_503() -> None:
    it = intake(1_000)
    parser(it, sized(900, 200))

    made = parser(it, HEAD + b"Content-Length: 801\r\nExpect: 100-continue\r\n\r\n")
    assert made.completed
    assert made.error.code == 503
    assert not made.expect_continue
    assert not parser(it, sized(800, 1)).completed


def test_a_body_that_outgrows_the_budget_is_refused_and_gives_back_what_it_had() -> None:
    it = intake(1_000)
    first, second = parser(it, sized(900, 100)), parser(it, sized(900, 100))
    first.received(b"x" * 700)
    assert it.held == 900

    second.received(b"x" * 101)

    assert second.error.code == 503
    assert it.held == 800
    first.received(b"x" * 100)
    assert first.completed
    assert first.error is None


def test_a_chunked_body_counts_as_it_grows() -> None:
    it = intake(1_000)
    made = parser(it, HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(9):
        made.received(b"64\r\n" + b"x" * 100 + b"\r\n")
    assert it.held == 900

    made.received(b"c8\r\n" + b"x" * 200 + b"\r\n")

    assert made.error.code == 503
    assert it.held == 0


def test_every_refusal_gives_back_what_was_held() -> None:
    it = intake(1_000)
    late = parser(it, sized(900, 100))
    late.refuse_late()
    broken = parser(it, HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nxxxxx\r\n")
    broken.received(b"no size\r\n")

    assert (late.error.code, broken.error.code) == (408, 400)
    assert it.held == 0


def test_a_body_that_nobody_reads_is_not_waited_for() -> None:
    it = intake(1_000, reads=False)
    for rest in (b"Content-Length: 900\r\n\r\nxx", b"Transfer-Encoding: chunked\r\n\r\n5\r\nxx"):
        made = parser(it, HEAD + b"Expect: 100-continue\r\n" + rest)

        assert made.completed
        assert made.unread
        assert made.connection_close
        assert not made.expect_continue
        assert made.error is None
        assert made.get_body_stream().read() == b""
        assert it.held == 0


def test_while_it_is_not_known_whether_a_body_is_read_it_is_asked_again() -> None:
    answers: list[bool | None] = [None, None, False]
    it = BodyAdmission(lambda _method, _path, _headers: answers.pop(0), 1_000)
    made = parser(it, sized(900, 100))
    assert not made.completed

    made.received(b"x" * 100)

    assert made.completed
    assert made.unread
    assert it.held == 0


def test_one_body_of_the_largest_size_always_has_room() -> None:
    assert body_budget(HttpServiceConfig(body_limit=2_000, body_memory=1_000)) == 2_000
    assert body_budget(HttpServiceConfig()) == 256 * 1024 * 1024
