"""The load's parser: two forms of an answer, any cut of the bytes, no mercy on short streams."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.peers.answer import Answer, stamp
from tests.bench.peers.upstream_bytes import (
    EMPTY,
    STREAM_HEAD,
    burst,
    first_event,
    last_events,
    token,
    unary,
)

TOKENS = 5


def read(data: bytes, cuts: tuple[int, ...] = (), *, stamped: bool = False) -> Answer:
    """Feed ``data`` in pieces, the n-th at second n; then the connection ends."""
    answer = Answer(stamped=stamped)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for moment, (begin, end) in enumerate(itertools.pairwise(places), 1):
        if answer.feed(data[begin:end], float(moment)):
            return answer
    answer.end()
    return answer


def test_a_whole_stream_is_good() -> None:
    answer = read(burst(TOKENS))
    assert answer.verdict(TOKENS, stream=True) == ""
    assert (answer.status, answer.marks, answer.events) == (200, TOKENS, TOKENS + 4)
    assert answer.keep_alive


def test_a_whole_unary_answer_is_good() -> None:
    answer = read(unary(TOKENS))
    assert answer.verdict(TOKENS, stream=False) == ""
    assert answer.marks == TOKENS


@given(cuts=st.tuples(*[st.integers(0, 100_000)] * 4), form=st.sampled_from([burst, unary]))
def test_where_the_bytes_are_cut_makes_no_difference(cuts: tuple[int, ...], form: object) -> None:
    data = burst(TOKENS) if form is burst else unary(TOKENS)
    whole, pieces = read(data), read(data, cuts)
    assert pieces.verdict(TOKENS, stream=form is burst) == ""
    assert (pieces.marks, pieces.events) == (whole.marks, whole.events)


@given(length=st.integers(0, len(burst(TOKENS)) - 1))
def test_a_stream_that_ends_early_is_never_good(length: int) -> None:
    assert read(burst(TOKENS)[:length]).verdict(TOKENS, stream=True)


@given(length=st.integers(0, len(unary(TOKENS)) - 1))
def test_a_unary_answer_that_ends_early_is_never_good(length: int) -> None:
    assert read(unary(TOKENS)[:length]).verdict(TOKENS, stream=False)


def test_a_missing_token_is_a_failure_although_the_stream_ends_well() -> None:
    assert read(burst(TOKENS - 1)).verdict(TOKENS, stream=True) == "4 of 5 tokens"


def test_a_stream_without_done_is_a_failure() -> None:
    body = b"".join(token(0.0) for _ in range(TOKENS))
    answer = read(STREAM_HEAD + first_event() + body + b"0\r\n\r\n")
    assert answer.verdict(TOKENS, stream=True) == "no [DONE] at the end"


def test_another_status_is_a_failure() -> None:
    assert read(EMPTY).verdict(0, stream=False) == "status 404"


def test_an_error_event_in_the_middle_is_a_failure() -> None:
    spoken = token(0.0) + b'14\r\ndata: {"error":{}}\n\n\r\n'
    answer = read(STREAM_HEAD + spoken + last_events(1))
    assert answer.verdict(TOKENS, stream=True) == "1 of 5 tokens"


def test_comments_are_no_events() -> None:
    answer = read(STREAM_HEAD + b"8\r\n: ping\n\n\r\n" + token(0.0) + last_events(1))
    assert answer.verdict(1, stream=True) == ""
    assert answer.events == 4


def test_a_body_until_the_connection_ends_is_read_to_its_end() -> None:
    answer = read(b'HTTP/1.0 200 OK\r\n\r\ndata: "@"\n\ndata: [DONE]\n\n')
    assert answer.verdict(1, stream=True) == ""
    assert not answer.keep_alive


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: Keep-Alive", True),
    ],
)
def test_whether_the_connection_can_be_used_again(head: bytes, kept: bool) -> None:
    answer = read(head + b"\r\n\r\n")
    assert answer.complete
    assert answer.keep_alive is kept


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"hello\r\n\r\n", "not an HTTP head: b'hello'"),
        (STREAM_HEAD + b"zz\r\n", "not a chunk size: b'zz'"),
        (STREAM_HEAD + b"1\r\nabc\r\n", "a chunk that is longer than its size"),
        (STREAM_HEAD + b"0\r\n\r\nmore", "bytes after the end of the answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", "more bytes than its content-length"),
        (b"", "no answer"),
        (STREAM_HEAD, "the connection ended inside the answer"),
        (b"x" * 70_000, "a head without an end"),
    ],
)
def test_a_broken_answer_says_what_is_wrong(data: bytes, reason: str) -> None:
    assert read(data).verdict(1, stream=True) == reason


def test_a_chunk_extension_is_read_over() -> None:
    assert read(STREAM_HEAD + b"1;a=b\r\n@\r\n0\r\n\r\n").marks == 1


def test_a_stamped_token_tells_how_long_it_was_under_way() -> None:
    answer = Answer(stamped=True)
    answer.feed(STREAM_HEAD + first_event() + token(100.0), 100.25)
    answer.feed(token(101.0) + token(101.5) + last_events(3), 102.0)
    assert answer.added == [0.25, 1.0, 0.5]
    assert answer.first == 100.25


@given(moment=st.floats(0, 9e8))
def test_a_stamp_is_always_as_wide(moment: float) -> None:
    text = stamp(moment)
    assert len(text) == 19
    assert float(text[1:18]) == pytest.approx(moment, abs=1e-6)
