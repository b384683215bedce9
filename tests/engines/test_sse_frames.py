"""Events are cut where the standard says, however the bytes arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.sse import EventTooLong, SseFrames, split_events
from tests.engines.raw_server import capture

CASES: dict[str, tuple[bytes, list[bytes]]] = {
    "line feeds": (b"data: a\n\ndata: b\n\n", [b"data: a\n\n", b"data: b\n\n"]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\nx", [b"data: a\r\n\r\n", b"data: b\r\n\r\n"]),
    "a CRLF alone is no blank line": (
        b"data: a\r\ndata: b\r\n\r\n",
        [b"data: a\r\ndata: b\r\n\r\n"],
    ),
    "carriage returns": (b"data: a\r\rdata: b\r\r ", [b"data: a\r\r", b"data: b\r\r"]),
    "mixed ends": (b"data: a\n\r\ndata: b\r\n\n", [b"data: a\n\r\n", b"data: b\r\n\n"]),
    "comments": (b":\n\n: ping\n\ndata: a\n\n", [b":\n\n", b": ping\n\n", b"data: a\n\n"]),
    "several lines": (b"event: x\ndata: a\ndata: b\n\n", [b"event: x\ndata: a\ndata: b\n\n"]),
    "an unfinished event": (b"data: a\n\ndata: b\n", [b"data: a\n\n"]),
    "nothing": (b"", []),
}

pieces = st.lists(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"data: a", b":", b"data: [DONE]", b"\n\n", b" "]),
    max_size=30,
).map(b"".join)


def whole(data: bytes) -> tuple[list[bytes], bytes]:
    frames = SseFrames()
    events = split_events(frames.feed(data))
    return events, frames.rest


def told(batches: list[bytes]) -> list[bytes]:
    """What a client is told: blank lines between events are nothing."""
    events = [event.strip(b"\r\n") for batch in batches for event in split_events(batch)]
    return [event for event in events if event]


@pytest.mark.parametrize(("data", "events"), CASES.values(), ids=CASES)
def test_events_end_at_blank_lines(data: bytes, events: list[bytes]) -> None:
    assert whole(data)[0] == events


@given(pieces)
def test_nothing_is_lost_and_nothing_invented(data: bytes) -> None:
    events, rest = whole(data)
    assert b"".join(events) + rest == data


@given(pieces, st.lists(st.integers(0, 120), max_size=8))
def test_where_the_input_is_cut_does_not_matter(data: bytes, cuts: list[int]) -> None:
    frames, batches = SseFrames(), list[bytes]()
    edges = [0, *sorted(cuts), len(data)]
    for start, end in pairwise(edges):
        batches.append(frames.feed(data[start:end]))
    assert b"".join(batches) + frames.rest == data
    assert told([*batches, frames.end()]) == told([whole_with_end(data)])


@given(pieces)
def test_byte_by_byte_gives_the_same_events(data: bytes) -> None:
    frames = SseFrames()
    batches = [frames.feed(bytes([byte])) for byte in data]
    assert told([*batches, frames.end()]) == told([whole_with_end(data)])


@given(pieces)
def test_a_batch_ends_where_an_event_ends(data: bytes) -> None:
    frames = SseFrames()
    batch = frames.feed(data)
    assert not batch or batch.endswith((b"\n\n", b"\r\r", b"\n\r", b"\n\r\n", b"\r\r\n"))


@given(pieces)
def test_the_single_events_joined_are_the_batch(data: bytes) -> None:
    assert b"".join(split_events(data)) == data


def whole_with_end(data: bytes) -> bytes:
    frames = SseFrames()
    return frames.feed(data) + frames.end()


def test_an_event_is_given_as_soon_as_its_last_byte_is_here() -> None:
    frames = SseFrames()
    assert frames.feed(b"data: a\r\n\r") == b""
    assert frames.feed(b"\n") == b"data: a\r\n\r\n"


def test_the_end_of_the_stream_completes_an_event_that_ends_in_carriage_returns() -> None:
    frames = SseFrames()
    assert frames.feed(b"data: a\r\r") == b""
    assert frames.end() == b"data: a\r\r"
    assert frames.rest == b""


def test_the_end_of_the_stream_does_not_complete_an_event_without_its_blank_line() -> None:
    frames = SseFrames()
    frames.feed(b"data: a\n")
    assert frames.end() == b""
    assert frames.rest == b"data: a\n"


def test_an_event_beyond_the_limit_is_refused_and_forgotten() -> None:
    frames = SseFrames(max_event=10)
    frames.feed(b"data: 1234")
    with pytest.raises(EventTooLong):
        frames.feed(b"5")
    assert frames.rest == b""


def test_many_events_together_may_be_longer_than_the_limit() -> None:
    many = b"data: a\n\n" * 100
    assert SseFrames(max_event=10).feed(many) == many


def test_a_long_event_in_small_pieces_is_searched_once() -> None:
    frames = SseFrames()
    for _ in range(1000):
        assert frames.feed(b"x" * 100) == b""
    assert frames.feed(b"\n\n") == b"x" * 100_000 + b"\n\n"


@pytest.mark.parametrize("name", ["capture_stream.txt", "capture_stream_ping.txt"])
def test_a_real_stream_is_cut_into_its_events(name: str) -> None:
    _, _, body = capture(name).partition(b"\r\n\r\n")
    lines = [line for line in body.split(b"\n") if line.startswith((b"data:", b":"))]
    assert [event.strip() for event in whole(b"\n\n".join([*lines, b""]))[0]] == lines
