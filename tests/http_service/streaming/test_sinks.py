"""What an engine pushes into: a stream, or one folded answer. One contract for both, then each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from actors.engines.contract import Kind
from actors.engines.errors import EngineBusy, EngineTimeout, EngineUnavailable
from http_service.streaming.stream_exchange import StreamExchange
from http_service.streaming.unary_exchange import UnaryExchange
from http_service.streaming.wsgi_body import BlockingReader
from tests.http_service.engines import DEADLINE, token_chunk
from tests.http_service.exchanges import stream, unary
from tests.http_service.serving import events

AnySink: TypeAlias = StreamExchange | UnaryExchange

HELLO = token_chunk(Kind.CHAT, "hello")
ROLE: dict[str, Any] = {"id": "x", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}
USAGE: dict[str, Any] = {"choices": [], "usage": {"completion_tokens": 9}}


def outcome(sink: AnySink, silence: float = DEADLINE) -> bytes | BaseException:
    """What the client's side gets in the end."""
    wait = BlockingReader(sink, silence)
    failure = wait.until_started()
    if failure is not None:
        return failure
    parts = b""
    while data := wait.take():
        parts += data
    return parts


both = pytest.mark.parametrize("make", [stream, unary])


@both
def test_chunks_and_an_end_make_an_answer(
    make: Callable[[], AnySink],
) -> None:
    sink = make()
    sink.push(HELLO)
    sink.finish()

    told = outcome(sink)

    assert isinstance(told, bytes)
    assert b"hello" in told


@both
def test_a_failure_before_any_chunk_is_an_error_and_no_bytes(
    make: Callable[[], AnySink],
) -> None:
    sink, error = make(), EngineBusy("full")
    sink.fail(error)

    assert outcome(sink) is error


@both
def test_the_first_end_counts_and_what_comes_later_is_ignored(
    make: Callable[[], AnySink],
) -> None:
    sink = make()
    sink.push(HELLO)
    sink.finish()
    sink.push(token_chunk(Kind.CHAT, "late"))
    sink.fail(RuntimeError("late"))
    sink.answer(b"late")
    sink.finish()

    told = outcome(sink)

    assert isinstance(told, bytes)
    assert b"late" not in told


@both
def test_a_silent_engine_times_out(
    make: Callable[[], AnySink],
) -> None:
    sink = make()

    assert isinstance(outcome(sink, silence=0.01), EngineTimeout)
    assert isinstance(sink.error, EngineTimeout)


@both
def test_tokens_and_usage_are_counted(
    make: Callable[[], AnySink],
) -> None:
    sink = make()
    sink.push(ROLE, 0)
    sink.push(HELLO, 2)
    sink.push(USAGE, 0)
    sink.finish()
    outcome(sink)
    sink.close_books()

    assert sink.guard.tokens == 9


@both
def test_the_answer_may_come_from_another_thread(
    make: Callable[[], AnySink],
) -> None:
    sink = make()

    def produce() -> None:
        for number in range(100):
            sink.push(token_chunk(Kind.CHAT, f"{number} "))
        sink.finish()

    thread = threading.Thread(target=produce)
    thread.start()
    told = outcome(sink)
    thread.join(DEADLINE)

    assert isinstance(told, bytes)
    if isinstance(sink, StreamExchange):
        texts = [each["choices"][0]["delta"]["content"] for each in events(told)[:-1]]
        assert "".join(texts) == "".join(f"{number} " for number in range(100))
    else:
        assert "".join(f"{number} " for number in range(100)).encode() in told


# The stream alone.


def test_a_stream_ends_with_done() -> None:
    sink = stream()
    sink.push(HELLO)
    sink.finish()

    assert sink.started
    assert sink.finished
    assert events(sink.take()) == [HELLO, "[DONE]"]
    assert sink.take() == b""
    assert sink.error is None


def test_events_that_are_ready_are_taken_together() -> None:
    sink = stream()
    for _ in range(5):
        sink.push(HELLO)

    assert len(events(sink.take())) == 5


@pytest.mark.parametrize(
    "prelude",
    [
        [(b": ping\n\n", 0)] * 5,
        [(ROLE, 0)],
        [(b": ping\n\n", 0), (ROLE, 0), (b": ping\n\n", 0)],
        [(USAGE, 0)],
    ],
    ids=["comments", "role", "both", "usage nobody asked for"],
)
def test_what_comes_before_the_first_token_does_not_begin_the_answer(
    prelude: list[tuple[Any, int]],
) -> None:
    sink, error = stream(), EngineUnavailable("gone")
    for chunk, tokens in prelude:
        sink.push(chunk, tokens)
    sink.fail(error)

    assert not sink.started
    assert outcome(sink) is error


def test_what_was_held_back_is_sent_with_the_first_token() -> None:
    sink = stream()
    sink.push(b": ping\n\n", 0)
    sink.push(ROLE, 0)
    sink.push(HELLO)

    assert sink.started
    data = sink.take()
    assert data.startswith(b": ping\n\n")
    assert events(data) == [ROLE, HELLO]


def test_a_second_event_begins_the_answer_even_without_tokens() -> None:
    sink = stream()
    sink.push(ROLE, 0)
    sink.push(ROLE, 0)

    assert sink.started


def test_an_empty_answer_is_an_answer() -> None:
    sink = stream()
    sink.finish()

    assert sink.started
    assert events(sink.take()) == ["[DONE]"]


def test_a_failure_after_the_first_token_is_one_event_and_done() -> None:
    sink, error = stream(), RuntimeError("/srv/secret")
    sink.push(HELLO)
    assert sink.started
    sink.fail(error)

    data = sink.take()
    told = events(data)
    assert [told[0], told[2]] == [HELLO, "[DONE]"]
    assert told[1]["error"]["code"] == "internal_error"
    assert b"secret" not in data
    assert sink.take() == b""
    assert sink.error is error


def test_a_silence_in_the_middle_ends_the_stream_with_an_error() -> None:
    sink = stream()
    sink.push(HELLO)
    wait = BlockingReader(sink, 0.01)
    assert events(wait.take()) == [HELLO]

    told = events(wait.take())

    assert told[0]["error"]["code"] == "upstream_timeout"
    assert told[1] == "[DONE]"
    assert isinstance(sink.error, EngineTimeout)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\r\n", b"\n\r"])
def test_every_end_that_an_event_may_have_is_one(end: bytes) -> None:
    sink = stream()
    sink.push(b"data: {}" + end)

    assert sink.error is None
    assert sink.take() == b"data: {}" + end


def test_usage_is_sent_to_who_asked_for_it() -> None:
    sink = stream(include_usage=True)
    sink.push(HELLO)
    sink.push(USAGE, 0)
    sink.finish()

    assert events(sink.take()) == [HELLO, USAGE, "[DONE]"]


def test_a_whole_answer_is_no_stream() -> None:
    sink = stream()
    sink.answer(b"{}")

    assert isinstance(outcome(sink), EngineUnavailable)


def test_an_abandoned_stream_takes_nothing_more() -> None:
    sink = stream()
    sink.push(HELLO)
    sink.close_books()
    sink.push(HELLO)
    sink.finish()

    assert sink.take() == b""
    assert sink.guard.tokens == 1


# The unary answer alone.


def test_a_ready_answer_passes_byte_for_byte_and_its_usage_counts() -> None:
    body = b'{"choices":  [],\n "usage": {"completion_tokens": 6}}'
    sink = unary()
    sink.answer(body)

    assert outcome(sink) == body
    sink.close_books()
    assert sink.guard.tokens == 6


def test_a_malformed_chunk_fails_the_answer_and_not_its_producer() -> None:
    sink = unary()
    sink.push({"choices": [17]})

    assert isinstance(outcome(sink), EngineUnavailable)


def test_an_end_without_an_answer_is_the_engines_failure() -> None:
    sink = unary()
    sink.finish()

    assert isinstance(outcome(sink), EngineUnavailable)


def test_each_chunk_of_a_unary_answer_restarts_the_patience() -> None:
    sink, told = unary(), threading.Event()
    failure: list[BaseException | None] = []

    def wait() -> None:
        failure.append(BlockingReader(sink, 0.5).until_started())
        told.set()

    threading.Thread(target=wait, daemon=True).start()
    for _ in range(40):
        assert not told.wait(0.02)
        sink.push(HELLO)
    sink.finish()

    assert told.wait(DEADLINE)
    assert failure == [None]
