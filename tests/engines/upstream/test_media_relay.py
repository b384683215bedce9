"""Answers that are not JSON: the same bytes, however they come; what fails says so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.errors import EngineError, EngineUnavailable
from actors.engines.media import OCTETS, Media
from actors.engines.sse import MAX_EVENT_BYTES
from actors.engines.upstream.media_relay import EventRelay, PieceRelay, media_relay
from tests.engines.recording import RecordingSink

EVENTS = "text/event-stream"
ERROR = b'data: {"error":{"message":"full","code":429}}\n\n'
LONG = b"data: " + b"error" * 20_000 + b"\n\n"


def pushed(sink: RecordingSink) -> bytes:
    pieces = sink.chunks
    assert all(isinstance(piece, Media) for piece in pieces)
    return b"".join(piece for piece in pieces if isinstance(piece, bytes))


def relay(sink: RecordingSink, content_type: str) -> EventRelay | PieceRelay:
    made = media_relay({b"content-type": content_type.encode("latin-1")}, sink)
    assert made is not None
    return made


def fed(data: bytes, cuts: list[int], content_type: str = EVENTS) -> RecordingSink:
    """What becomes of ``data`` that is cut there."""
    sink = RecordingSink()
    made = relay(sink, content_type)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    try:
        for begin, end in zip([0, *ends], ends, strict=False):
            made.feed(data[begin:end])
        made.end()
    except EngineError as error:
        sink.fail(error)
    return sink


pieces = st.sampled_from([
    b": ping\n\n", b'data: {"a":"error"}\n\n', b"event: x\r\ndata: raw\r\n\r\n", b"\n", ERROR,
    b"data: [DONE]\n\n", b"data: {}\n\n", b"data: cut", LONG,
])  # fmt: skip
cuts = st.lists(st.integers(0, 200), max_size=8)


@given(st.binary(max_size=100), cuts)
def test_pieces_are_the_same_bytes_wherever_they_are_cut(data: bytes, cuts: list[int]) -> None:
    sink = fed(data, cuts, "audio/mpeg")
    assert (pushed(sink), sink.ends) == (data, ["finish"])
    assert isinstance(sink.chunks[0], Media)
    assert sink.chunks[0].content_type == "audio/mpeg"


@given(st.lists(pieces, max_size=6).map(b"".join), cuts)
def test_events_are_the_same_wherever_they_are_cut(data: bytes, cuts: list[int]) -> None:
    whole, cut = fed(data, []), fed(data, cuts)
    assert pushed(cut) == pushed(whole)
    assert (cut.ends, str(cut.error)) == (whole.ends, str(whole.error))
    assert data.find(pushed(whole)) >= 0


@given(st.lists(pieces, max_size=6).map(b"".join))
def test_nothing_that_follows_an_error_is_passed_and_it_is_no_end(data: bytes) -> None:
    sink = fed(data, [])
    before, error, _ = data.partition(ERROR)
    if error and not before.endswith(b"cut"):
        assert sink.ends == ["fail"]
        assert isinstance(sink.error, EngineError)
        assert sink.error.status == 429
        # Empty lines between two events belong to neither.
        assert before.rstrip(b"\n").endswith(pushed(sink).rstrip(b"\n"))


def test_each_push_of_events_is_whole_events() -> None:
    sink = RecordingSink()
    made = relay(sink, EVENTS)
    assert made.feed(b"data: 1\n\ndata: 2\n") is True
    assert sink.chunks == [b"data: 1\n\n"]
    made.feed(b"\n")
    assert sink.chunks == [b"data: 1\n\n", b"data: 2\n\n"]


def test_comments_before_the_first_event_are_no_beginning() -> None:
    sink = RecordingSink()
    made = relay(sink, EVENTS)
    assert made.feed(b": ping\n\n: ping\n\n") is False
    assert sink.chunks == []
    assert made.feed(b"data: 1\n\n: ping\n\n") is True
    assert pushed(sink) == b"data: 1\n\n: ping\n\n"


@pytest.mark.parametrize("rest", [b"", b": ping\n\n", b"data: cut"])
def test_events_that_say_nothing_are_a_failure(rest: bytes) -> None:
    sink = fed(rest, [])
    assert isinstance(sink.error, EngineUnavailable)
    assert sink.chunks == []


def test_a_document_where_events_were_expected_is_its_error() -> None:
    sink = fed(b'{"error":{"message":"no such voice","code":400}}', [])
    assert isinstance(sink.error, EngineError)
    assert (sink.error.status, sink.error.message) == (400, "no such voice")


def test_an_event_without_an_end_is_a_failure() -> None:
    made = relay(RecordingSink(), EVENTS)
    with pytest.raises(EngineUnavailable, match="can't be read"):
        made.feed(bytes(MAX_EVENT_BYTES + 1))


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/X+JSON"]
)
def test_json_is_read_whole_by_another(content_type: str) -> None:
    assert media_relay({b"content-type": content_type.encode()}, RecordingSink()) is None


@pytest.mark.parametrize("content_type", ["text/html", "TEXT/HTML; charset=x"])
def test_a_page_is_refused(content_type: str) -> None:
    with pytest.raises(EngineUnavailable, match="a page"):
        relay(RecordingSink(), content_type)


@given(st.text(st.characters(max_codepoint=255), max_size=300))
def test_a_type_is_passed_on_or_replaced(content_type: str) -> None:
    sink = RecordingSink()
    try:
        made = media_relay({b"content-type": content_type.encode("latin-1")}, sink)
    except EngineUnavailable:
        return
    if isinstance(made, PieceRelay):
        made.end()
        (piece,) = sink.chunks
        assert isinstance(piece, Media)
        assert piece.content_type in (OCTETS, content_type.strip())
        assert piece.content_type.isprintable()
