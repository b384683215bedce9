"""The reader of answers lets nothing pass that a strict client would not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.answers import Answer, Broken, Question, judged, read_answer

ASKED = Question("m", stream=False, text="a b")
STREAMED = Question("m", stream=True, text="a b")


def unary(**changes: Any) -> bytes:
    message = {"role": "assistant", "content": "a b"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    answer = {"object": "chat.completion", "model": "m", "choices": [choice], **changes}
    return json.dumps(answer).encode()


def event(content: object = "a", **changes: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": content}}
    chunk = {"object": "chat.completion.chunk", "model": "m", "choices": [choice], **changes}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


STREAM = event("a") + event(" b") + b"data: [DONE]\n\n"


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(*pieces: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"


def outcome(question: Question, data: bytes) -> str:
    answer = read_answer(data)
    assert answer is not None
    return judged(question, answer)


def test_right_answers_are_right() -> None:
    assert outcome(ASKED, http(unary())) == "ok"
    assert outcome(STREAMED, chunked(STREAM)) == "ok"
    assert outcome(STREAMED, http(STREAM)) == "ok"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        unary(model="other"),
        unary(object="text"),
        unary(choices=[]),
        unary(choices=[{"message": {"content": "a b"}, "finish_reason": None}]),
        unary(choices=[{"message": {"content": "b a"}, "finish_reason": "stop"}]),
        unary(usage=float("nan")),
    ],
)
def test_a_whole_answer_with_one_thing_wrong_is_wrong(body: bytes) -> None:
    assert outcome(ASKED, http(body)).startswith("wrong: ")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        event("a b"),
        STREAM[:-1],
        STREAM + b"x",
        STREAM.replace(b"data: ", b"data:", 1),
        b"nonsense\n\n" + STREAM,
        event("a") + b"data: [DONE]\n\n",
        event("a", model="other") + event(" b") + b"data: [DONE]\n\n",
        event("a", choices=[7]) + b"data: [DONE]\n\n",
    ],
)
def test_a_stream_with_one_thing_wrong_is_wrong(body: bytes) -> None:
    assert outcome(STREAMED, http(body)).startswith("wrong: ")


def test_an_error_must_have_openais_shape_to_count_as_one() -> None:
    error = {"error": {"message": "m", "type": "t", "param": None, "code": "c"}}
    proper = json.dumps(error).encode()
    assert outcome(ASKED, http(proper, "503 Down")) == "status 503"
    assert outcome(ASKED, http(b"oops", "503 Down")).startswith("wrong: ")
    late = event("a") + b"data: " + proper + b"\n\ndata: [DONE]\n\n"
    assert outcome(STREAMED, chunked(late)) == "error event c"
    early = b"data: " + proper + b"\n\ndata: [DONE]\n\n"
    assert outcome(STREAMED, chunked(early)).startswith("wrong: ")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
    ],
)
def test_broken_http_is_broken(data: bytes) -> None:
    with pytest.raises(Broken):
        read_answer(data)


@given(st.integers(0, 400))
def test_a_prefix_of_an_answer_is_not_all_there(cut: int) -> None:
    whole = chunked(STREAM[:20], STREAM[20:])
    assert read_answer(whole[: min(cut, len(whole) - 1)]) is None


def test_the_end_of_an_answer_is_known_to_the_byte() -> None:
    whole = chunked(STREAM)
    answer = read_answer(whole + b"more")
    assert isinstance(answer, Answer)
    assert answer.size == len(whole)
    assert not answer.closes
    assert read_answer(http(b"").replace(b"OK\r\n", b"OK\r\nConnection: Close\r\n")).closes  # type: ignore[union-attr]  # it is whole
