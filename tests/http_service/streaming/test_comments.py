"""What reaches a client before the first token, and events that are longer than any buffer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.engines.contract import COMMENTS_AFTER, Kind
from actors.engines.errors import EngineBusy
from http_service.streaming.exchange import UNSENT_LIMIT
from tests.http_service.engines import token_chunk
from tests.http_service.streaming.stage import HELLO, Stage


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.loop.close()


@pytest.mark.parametrize("comment", [b": ping\n\n", b":\n\n", b": OPENROUTER PROCESSING\r\n\r\n"])
def test_comments_during_a_long_prefill_reach_the_client_after_a_bounded_time(
    stage: Stage, comment: bytes
) -> None:
    stage.begin(stage.stream)
    for _ in range(3):
        stage.stream.push(comment, 0)
        stage.wait(COMMENTS_AFTER / 3)
        assert stage.connection.writes == []
    stage.stream.push(comment, 0)
    stage.turn()
    assert b"".join(stage.connection.writes).startswith(b"HTTP/1.1 200 OK")
    assert stage.body == comment
    stage.stream.push(comment, 0)
    stage.turn()
    assert stage.body == comment * 2, "from then on at once"
    stage.stream.push(HELLO)
    stage.stream.finish()
    stage.turn()
    assert stage.body.endswith(b"data: [DONE]\n\n")


def test_a_failure_after_such_comments_is_an_error_event(stage: Stage) -> None:
    stage.begin(stage.stream)
    stage.wait(COMMENTS_AFTER)
    stage.stream.push(b": ping\n\n", 0)
    stage.turn()
    stage.stream.fail(EngineBusy("busy"))
    stage.turn()
    assert b'"code":"overloaded"' in stage.body
    assert stage.body.endswith(b"data: [DONE]\n\n")


def test_two_events_of_many_megabytes_wait_for_a_slow_client(stage: Stage) -> None:
    """An engine is told to wait after an event, not within one."""
    stage.connection.room = 10
    stage.begin(stage.stream)
    for _ in range(2):
        stage.stream.push(token_chunk(Kind.CHAT, "x" * 5 * UNSENT_LIMIT))
        stage.turn()
        assert not stage.connection.dropped
    assert not stage.stream.has_room(lambda: None)
