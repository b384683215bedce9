"""A detached answer on its way to a client, driven by hand: a fake connection, a fake clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.engines.contract import Context
from actors.engines.errors import EngineBusy
from http_service.streaming.exchange import STALL_SECONDS, UNSENT_LIMIT, Exchange
from http_service.streaming.stream_exchange import ROOM_BYTES
from tests.http_service.engines import Unreadable
from tests.http_service.exchanges import SILENCE
from tests.http_service.serving import events
from tests.http_service.streaming.stage import HELLO, Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.loop.close()


def test_the_head_is_written_with_the_first_bytes_and_not_before(stage: Stage) -> None:
    stage.begin(stage.stream)
    stage.turn()
    assert not stage.connection.writes

    stage.stream.push(HELLO)
    stage.turn()

    (first,) = stage.connection.writes
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"transfer-encoding: chunked" in first
    assert b"hello" in first


def test_all_that_is_ready_goes_out_in_one_write(stage: Stage) -> None:
    stage.begin(stage.stream)
    for _ in range(64):
        stage.stream.push(HELLO)
    stage.stream.finish()
    stage.turn()

    assert len(stage.connection.writes) == 1
    assert events(stage.body) == [HELLO] * 64 + ["[DONE]"]
    assert stage.connection.writes[0].endswith(b"\r\n0\r\n\r\n")


def test_an_answer_that_was_ready_before_it_was_detached_needs_no_turn(stage: Stage) -> None:
    stage.stream.push(HELLO)
    stage.stream.finish()
    stage.begin(stage.stream)

    assert len(stage.connection.writes) == 1
    assert stage.connection.resumed == [False]


def test_a_complete_stream_is_concluded_once_and_keeps_its_connection(stage: Stage) -> None:
    stage.begin(stage.stream)
    stage.stream.push(HELLO)
    stage.stream.finish()
    stage.stream.finish()
    stage.turn()
    stage.turn()

    assert stage.connection.resumed == [False]
    assert stage.counted(status="success", error_type="") == 1
    assert not len(stage.inflight)


def test_a_failure_before_the_first_byte_is_an_http_error(stage: Stage) -> None:
    stage.begin(stage.stream)
    stage.stream.fail(EngineBusy("full", retry_after=7))
    stage.turn()

    (reply,) = stage.connection.writes
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
    assert b"retry-after: 7" in head
    assert b"x-request-id: r-1" in head
    assert b"content-length: %d" % len(body) in head
    assert stage.connection.resumed == [False], "the connection stays usable"
    assert stage.counted(status="error", error_type="overload") == 1


def test_a_failure_after_the_first_byte_is_one_event_and_done(stage: Stage) -> None:
    stage.begin(stage.stream)
    stage.stream.push(HELLO)
    stage.turn()
    stage.stream.fail(RuntimeError("secret"))
    stage.turn()

    told = events(stage.body)
    assert told[1]["error"]["code"] == "internal_error"
    assert told[2] == "[DONE]"
    assert stage.connection.resumed == [False]
    assert b"secret" not in stage.body


def unreadable(stage: Stage, failing: int) -> Unreadable:
    """A stream from which nothing can be taken the ``failing``-th time."""
    made = stage.make(make=Unreadable)
    assert isinstance(made, Unreadable)
    made.failing = failing
    return made


def test_an_answer_that_cannot_be_told_is_a_500_at_once(stage: Stage) -> None:
    made = unreadable(stage, 1)
    stage.begin(made)
    made.push(HELLO)
    stage.turn()

    (only,) = stage.connection.writes
    assert only.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in only
    assert stage.connection.resumed == [False]
    assert stage.counted(status="error", error_type="internal") == 1
    assert not len(stage.inflight)


def test_an_answer_that_can_no_more_be_told_ends_its_connection(stage: Stage) -> None:
    made = unreadable(stage, 2)
    stage.begin(made)
    made.push(HELLO)
    stage.turn()
    made.push(HELLO)
    stage.turn()

    assert stage.connection.dropped
    assert stage.counted(status="error", error_type="internal") == 1
    assert not len(stage.inflight)


def test_a_unary_answer_has_its_length_and_one_write(stage: Stage) -> None:
    stage.begin(stage.unary)
    stage.unary.push(HELLO)
    stage.turn()
    assert not stage.connection.writes
    stage.unary.answer(b'{"a": 1}')
    stage.turn()

    (reply,) = stage.connection.writes
    assert b"content-length: 8\r\n" in reply
    assert reply.endswith(b'\r\n\r\n{"a": 1}')


@pytest.mark.parametrize(
    ("version", "close", "draining", "ends", "says"),
    [
        ("1.1", False, False, False, None),
        ("1.1", True, False, True, b"close"),
        ("1.1", False, True, True, b"close"),
        ("1.0", False, False, True, b"close"),
        ("1.0", True, False, True, b"close"),
    ],
)
def test_a_stream_says_whether_its_connection_goes_on(
    stage: Stage, version: str, close: bool, draining: bool, ends: bool, says: bytes | None
) -> None:
    stage.connection.draining = draining
    stage.begin(stage.stream, version, close=close)
    stage.stream.push(HELLO)
    stage.stream.finish()
    stage.turn()

    head = stage.connection.writes[0].partition(b"\r\n\r\n")[0]
    assert stage.connection.resumed == [ends]
    assert (b"connection: " + says in head) if says else (b"connection:" not in head)
    assert (b"chunked" in head) is (version == "1.1")


def test_a_unary_answer_may_keep_an_http_1_0_connection(stage: Stage) -> None:
    stage.begin(stage.unary, "1.0")
    stage.unary.answer(b"{}")
    stage.turn()

    assert b"connection: keep-alive" in stage.connection.writes[0]
    assert stage.connection.resumed == [False]


def test_an_engine_that_is_silent_for_too_long_has_failed(stage: Stage) -> None:
    stage.begin(stage.stream)
    stage.wait(SILENCE - 1)
    assert not stage.stream.finished
    stage.wait(2)
    stage.turn()

    assert stage.connection.writes[0].startswith(b"HTTP/1.1 504 ")
    assert len(stage.inflight) == 0


def test_each_sign_of_life_puts_the_deadline_off(stage: Stage) -> None:
    stage.begin(stage.stream)
    stage.wait(SILENCE - 1)
    stage.stream.push(HELLO)
    stage.turn()
    stage.wait(SILENCE - 1)
    assert not stage.stream.finished

    stage.wait(2)
    stage.turn()
    assert events(stage.body)[1]["error"]["code"] == "upstream_timeout"


def test_a_comment_puts_the_deadline_off_before_the_answer_begins(stage: Stage) -> None:
    stage.begin(stage.stream)
    stage.wait(SILENCE - 1)
    stage.stream.push(b": prefilling\n\n", 0)
    stage.wait(SILENCE - 1)
    assert not stage.stream.finished


def test_a_client_that_left_cancels_the_engine_and_is_counted(stage: Stage) -> None:
    delivery = stage.begin(stage.stream)
    stage.stream.push(HELLO)
    stage.turn()
    stage.connection.gone = True
    delivery.client_left()
    delivery.client_left()
    stage.stream.push(HELLO)
    stage.turn()

    assert stage.stream.context.cancelled
    assert stage.counted(status="error", error_type="cancelled") == 1
    assert len(stage.connection.writes) == 1


def test_a_write_that_finds_the_client_gone_is_a_client_that_left(stage: Stage) -> None:
    stage.begin(stage.stream)
    stage.connection.gone = True
    stage.stream.push(HELLO)
    stage.turn()

    assert stage.stream.context.cancelled
    assert stage.counted(status="error", error_type="cancelled") == 1


def congested(stage: Stage) -> Exchange:
    """A delivery whose client takes nothing more."""
    stage.connection.room = 0
    delivery = stage.begin(stage.stream)
    stage.stream.push(HELLO)
    stage.turn()
    return delivery


def test_a_slow_reader_pauses_its_producer_and_resumes_it(stage: Stage) -> None:
    delivery = congested(stage)
    resumed: list[bool] = []
    assert stage.stream.has_room(lambda: resumed.append(True)), "a little may still wait"
    stage.stream.push(b"data: " + b"x" * ROOM_BYTES + b"\n\n")
    assert not stage.stream.has_room(lambda: resumed.append(True))
    stage.turn()
    assert len(stage.connection.writes) == 1, "nothing is written to a client that takes nothing"

    stage.connection.room = 1 << 30
    delivery.sent(10)
    assert not resumed
    delivery.sent(0)
    stage.turn()

    assert resumed == [True]
    assert len(stage.connection.writes) == 2
    assert stage.stream.has_room(lambda: None)


def test_an_engine_that_does_not_wait_costs_its_client_the_connection(stage: Stage) -> None:
    congested(stage)
    for _ in range(UNSENT_LIMIT // ROOM_BYTES + 1):
        stage.stream.push(b"data: " + b"x" * ROOM_BYTES + b"\n\n")
    stage.turn()
    assert stage.connection.dropped


def test_a_reader_that_takes_nothing_for_too_long_is_dropped(stage: Stage) -> None:
    delivery = congested(stage)
    stage.wait(STALL_SECONDS - 1)
    delivery.sent(5)
    stage.wait(STALL_SECONDS - 1)
    assert not stage.connection.dropped, "it took some: it has all its time again"

    stage.wait(2)
    assert stage.connection.dropped


def test_a_paused_engine_is_not_taken_for_a_silent_one(stage: Stage) -> None:
    delivery = congested(stage)
    for _ in range(10):
        stage.wait(STALL_SECONDS - 1)
        delivery.sent(5)

    assert not stage.stream.finished


def test_the_end_of_a_request_releases_an_engine_that_waits(stage: Stage) -> None:
    delivery = congested(stage)
    stage.stream.push(b"data: " + b"x" * ROOM_BYTES + b"\n\n")
    resumed: list[bool] = []
    assert not stage.stream.has_room(lambda: resumed.append(True))
    delivery.client_left()

    assert resumed == [True]


@pytest.mark.parametrize("begun", [False, True])
def test_an_answer_that_takes_longer_than_its_request_allows_is_cut(
    stage: Stage, begun: bool
) -> None:
    context = Context("r-2", deadline=stage.now + 5)
    stage.stream = stage.make(context)
    stage.begin(stage.stream)
    if begun:
        stage.stream.push(HELLO)
    stage.wait(4)
    assert not stage.stream.finished
    stage.wait(2)
    stage.turn()

    if begun:
        assert events(stage.body)[1]["error"]["code"] == "upstream_timeout"
    else:
        assert stage.connection.writes[0].startswith(b"HTTP/1.1 504 ")
    assert stage.stream.context.cancelled
    assert stage.connection.resumed == [False]
