"""What an event says is read as a client would read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.sse import EventKind, data_of, read_event

KINDS = {
    b":\n\n": EventKind.EMPTY,
    b": ping - 2026\n\n": EventKind.EMPTY,
    b"\n\n": EventKind.EMPTY,
    b"event: ping\n\n": EventKind.EMPTY,
    b"retry: 100\n\n": EventKind.EMPTY,
    b"data:\n\n": EventKind.EMPTY,
    b"data: [DONE]\n\n": EventKind.DONE,
    b"data:[DONE]\r\n\r\n": EventKind.DONE,
    b'data: {"choices": []}\n\n': EventKind.CHUNK,
    b'data: {"choices": [], "error": null}\n\n': EventKind.CHUNK,
    b'data: {"error": {"message": "x"}}\n\n': EventKind.ERROR,
    b'event: error\ndata: {"error": {"message": "x"}}\n\n': EventKind.ERROR,
    b'data: {"error": "x"}\n\n': EventKind.ERROR,
    b'event: error\ndata: {"message": "x"}\n\n': EventKind.ERROR,
    b'id: 1\r\nevent:error\r\ndata: {"detail": "x"}\r\n\r\n': EventKind.ERROR,
    b'data: {"object": "error", "message": "x"}\n\n': EventKind.ERROR,
    b'error: {"code": 500, "message": "x"}\n\n': EventKind.ERROR,
    b'event: errors\ndata: {"choices": []}\n\n': EventKind.CHUNK,
    b'event: message\ndata: {"choices": ["event: error"]}\n\n': EventKind.CHUNK,
    b'\xef\xbb\xbfdata: {"choices": []}\n\n': EventKind.CHUNK,
    b'\xef\xbb\xbfdata: {"error": "x"}\n\n': EventKind.ERROR,
    b'data: {"oops\n\n': EventKind.BROKEN,
    b"data: 5\n\n": EventKind.BROKEN,
    b"data: [1]\n\n": EventKind.BROKEN,
    b"data: \xff\n\n": EventKind.BROKEN,
}


@pytest.mark.parametrize(("event", "kind"), KINDS.items(), ids=[repr(event) for event in KINDS])
def test_an_event_is_read_for_what_it_is(event: bytes, kind: EventKind) -> None:
    assert read_event(event).kind is kind


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"a":\ndata: 1}\n\n',
        b'data: {"a":\r\ndata: 1}\r\n\r\n',
        b'data: {"a":\rdata: 1}\r\r',
        b': hello\ndata: {"a": 1}\n\n',
        b'id: 7\ndata:{"a":1}\n\n',
    ],
)
def test_data_may_stand_on_several_lines_among_others(event: bytes) -> None:
    assert read_event(event).chunk == {"a": 1}


def test_only_one_space_after_the_colon_is_not_data() -> None:
    assert data_of(b"id: 1\ndata: a\ndata:  b\n\n") == b"a\n b"


@given(st.binary())
def test_no_bytes_can_make_the_reading_fail(event: bytes) -> None:
    assert read_event(event).kind in EventKind
