"""Responses of any type: their bytes, their length or their chunks, and how they break off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.errors import EngineUnavailable
from actors.engines.media import Media
from http_service.streaming.media_exchange import MediaExchange
from http_service.streaming.stream_exchange import ROOM_BYTES, StreamExchange
from tests.http_service.streaming.stage import Stage

SOUND = "audio/mpeg"
EVENTS = "text/event-stream; charset=utf-8"
LOST = EngineUnavailable("it broke off")


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.loop.close()


def begun(stage: Stage, version: str = "1.1") -> StreamExchange:
    made = stage.make(make=MediaExchange)
    stage.begin(made, version)
    return made


def written(stage: Stage) -> tuple[bytes, bytes]:
    """The head, in lower case, and what follows it."""
    head, _, rest = b"".join(stage.connection.writes).partition(b"\r\n\r\n")
    return head.lower(), rest


def test_what_is_whole_at_once_has_a_length(stage: Stage) -> None:
    media = begun(stage)
    media.push(Media(b"ab", SOUND))
    media.push(Media(b"cd"))
    media.finish()
    stage.turn()

    head, body = written(stage)
    assert b"\r\ncontent-type: audio/mpeg\r\n" in head
    assert head.count(b"\r\ncontent-type:") == 1
    assert b"content-length: 4" in head
    assert body == b"abcd"
    assert stage.connection.resumed == [False]
    assert stage.counted(request_type="stream", error_type="", status="success") == 1


def test_what_comes_later_comes_in_chunks(stage: Stage) -> None:
    media = begun(stage)
    for piece in (b"ab", b"", b"cd"):
        media.push(Media(piece, SOUND))
        stage.turn()
    media.finish()
    stage.turn()
    assert b"transfer-encoding: chunked" in written(stage)[0]
    assert written(stage)[1] == b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n"


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=6), st.lists(st.booleans()))
def test_the_bytes_are_the_same_however_they_come(pieces: list[bytes], turns: list[bool]) -> None:
    stage = Stage()
    media = begun(stage)
    for at, piece in enumerate(pieces):
        media.push(Media(piece, SOUND))
        if at < len(turns) and turns[at]:
            stage.turn()
    media.finish()
    stage.turn()
    whole = b"content-length" in written(stage)[0]
    assert (written(stage)[1] if whole else stage.body) == b"".join(pieces)
    stage.loop.close()


def test_an_empty_answer_is_one(stage: Stage) -> None:
    media = begun(stage)
    media.push(Media(b"", "text/plain"))
    stage.turn()
    assert stage.connection.writes == []
    media.finish()
    stage.turn()
    assert b"content-length: 0" in written(stage)[0]


def test_an_engine_that_gives_nothing_has_failed(stage: Stage) -> None:
    begun(stage).finish()
    stage.turn()
    assert written(stage)[0].startswith(b"http/1.1 502 ")


def test_a_document_is_json_with_its_length(stage: Stage) -> None:
    begun(stage).answer(b'{"text":"hi"}')
    stage.turn()
    head, body = written(stage)
    assert b"content-type: application/json" in head
    assert (b"content-length: 13" in head, body) == (True, b'{"text":"hi"}')


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_sound_that_breaks_off_ends_its_connection(stage: Stage, version: str) -> None:
    media = begun(stage, version)
    media.push(Media(b"ab", SOUND))
    stage.turn()
    media.push(Media(b"cd", SOUND))
    media.fail(LOST)
    stage.turn()

    assert written(stage)[1].endswith(b"2\r\nab\r\n2\r\ncd\r\n" if version == "1.1" else b"abcd")
    assert stage.connection.dropped
    assert stage.connection.resumed == []
    assert stage.counted(error_type="internal", status="error") == 1


def test_a_sound_that_breaks_off_before_its_head_has_no_length(stage: Stage) -> None:
    media = begun(stage)
    media.push(Media(b"ab", SOUND))
    media.fail(LOST)
    stage.turn()
    assert b"content-length" not in written(stage)[0]
    assert stage.connection.dropped


def test_events_that_break_off_say_so(stage: Stage) -> None:
    media = begun(stage)
    media.push(Media(b"data: 1\n\n", EVENTS))
    stage.turn()
    media.fail(LOST)
    stage.turn()

    assert stage.body.startswith(b'data: 1\n\ndata: {"error":{"message":"it broke off"')
    assert stage.body.endswith(b"}\n\n")
    assert stage.connection.resumed == [False]


def test_a_failure_before_the_first_piece_is_a_status(stage: Stage) -> None:
    begun(stage).fail(LOST)
    stage.turn()
    assert written(stage)[0].startswith(b"http/1.1 502 ")


def test_something_else_than_media_ends_it(stage: Stage) -> None:
    media = begun(stage)
    media.push(Media(b"ab", SOUND))
    stage.turn()
    media.push(b"data: 1\n\n")
    stage.turn()
    assert stage.connection.dropped


def test_a_client_that_leaves_in_a_sound_is_counted_as_cancelled(stage: Stage) -> None:
    media = begun(stage)
    media.push(Media(b"ab", SOUND))
    media.client_left()
    media.push(Media(b"cd", SOUND))
    stage.turn()
    assert stage.counted(error_type="cancelled", status="error") == 1
    assert not stage.inflight.running


def test_an_engine_waits_for_a_client_that_does_not_keep_up(stage: Stage) -> None:
    media = begun(stage)
    stage.connection.room = 0
    woken: list[bool] = []
    media.push(Media(b"ab", SOUND))
    stage.turn()
    media.push(Media(bytes(ROOM_BYTES), SOUND))
    assert media.has_room(lambda: woken.append(True)) is False
    stage.turn()
    assert woken == []

    stage.connection.room = 1 << 30
    media.sent(0)
    stage.turn()
    assert woken == [True]
    assert len(stage.body) == 2 + ROOM_BYTES


def test_a_connection_that_drains_ends_with_the_response(stage: Stage) -> None:
    media = begun(stage)
    stage.connection.draining = True
    media.push(Media(b"ab", SOUND))
    media.finish()
    stage.turn()
    assert b"connection: close" in written(stage)[0]
    assert stage.connection.resumed == [True]
