"""One refusal, told in every place: the client's mistake is never the worker's failure."""

from __future__ import annotations

import contextlib
import json
from contextlib import ExitStack
from typing import Any, Literal

import pytest

from actors.engines import Context, EngineRejected, EngineUnavailable
from actors.engines.errors import AnswerTooLong
from actors.engines.pool import ModelSpec, PolicyName, Pool
from actors.engines.upstream import UpstreamEngine, response, stream_relay
from tests.engines.asking import chat
from tests.engines.pool.fakes import inflight
from tests.engines.raw_server import (
    LAST_CHUNK,
    STREAM_HEAD,
    Line,
    RawServer,
    Script,
    answer,
    chunked,
    says,
)
from tests.engines.recording import RecordingSink
from tests.engines.relaying import UNARY, failure, relay
from tests.engines.subjects import FINISH, event, token

WORDS = "The input (9000 tokens) is longer than the model's context length"
NESTED = {"error": {"message": WORDS, "type": "BadRequestError", "code": 400}}
FLAT = {"object": "error", "message": WORDS, "type": "BadRequestError", "param": None, "code": 400}
JSON = "content-type: application/json"
ROLE: dict[str, Any] = {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}


def streamed(*events: Any) -> bytes:
    return STREAM_HEAD + b"".join(chunked(event(each)) for each in events) + LAST_CHUNK


def document(value: object) -> bytes:
    return json.dumps(value).encode()


TOLD: dict[str, tuple[bytes, bool]] = {
    "the head": (answer(400, document(NESTED), JSON), True),
    "the head of a unary answer": (answer(400, document(FLAT), JSON), False),
    "the body of a 200": (answer(200, document(FLAT), JSON), False),
    "the nested body of a 200": (answer(200, document(NESTED), JSON), False),
    "a document instead of a stream": (answer(200, document(FLAT), JSON), True),
    "a document of another case": (
        answer(200, document(FLAT), "Content-Type: Application/JSON"),
        True,
    ),
    "a document that claims to be a stream": (
        STREAM_HEAD + chunked(document(NESTED)) + LAST_CHUNK,
        True,
    ),
    "the first event": (streamed(NESTED, "[DONE]"), True),
    "the first event, flat": (streamed(FLAT, "[DONE]"), True),
    "an event named error": (
        STREAM_HEAD
        + chunked(b"event: error\ndata: " + document(NESTED["error"]) + b"\n\n")
        + LAST_CHUNK,
        True,
    ),
    "the event after the role": (streamed(ROLE, NESTED, "[DONE]"), True),
    "the event after the first token": (streamed(ROLE, token("a"), NESTED, "[DONE]"), True),
}


@pytest.mark.parametrize(("told", "stream"), TOLD.values(), ids=TOLD)
def test_the_clients_mistake_is_told_in_its_words_wherever_the_upstream_says_it(
    told: bytes, *, stream: bool
) -> None:
    error = failure(says(told), chat(stream=stream))
    assert (type(error), error.status, error.message) == (EngineRejected, 400, WORDS)


@pytest.mark.parametrize(("told", "stream"), TOLD.values(), ids=TOLD)
def test_the_clients_mistake_is_asked_once_and_blamed_on_nobody(
    told: bytes, *, stream: bool
) -> None:
    sinks, asked, pool = ask_a_pool(told, 10, stream=stream)
    assert {str(sink.error) for sink in sinks} == {WORDS}
    assert asked == 10
    assert blamed(pool) == []


def test_fifty_requests_that_are_too_long_eject_nobody() -> None:
    """SGLang tells a prompt that is too long in the first event of a 200."""
    sinks, asked, pool = ask_a_pool(streamed(NESTED, "[DONE]"), 50, stream=True)
    errors = [sink.error for sink in sinks]
    assert all(isinstance(error, EngineRejected) and error.status == 400 for error in errors)
    assert {str(error) for error in errors} == {WORDS}
    assert asked == 50
    assert blamed(pool) == []
    assert set(inflight(pool).values()) == {0}


def ask_a_pool(
    told: bytes, times: int, *, stream: bool, unary: Literal["fold", "pass"] = "pass"
) -> tuple[list[RecordingSink], int, Pool]:
    """Ask three instances that answer ``told``: what came, and how often they were asked."""
    pool = Pool("m", spec=ModelSpec(policy=PolicyName.ROUND_ROBIN))
    sinks: list[RecordingSink] = []
    with ExitStack() as stack:
        stack.callback(pool.closed)  # its probes would go on forever
        servers = [stack.enter_context(RawServer(says(told))) for _ in range(3)]
        for server in servers:
            engine = UpstreamEngine(server.url, unary=unary)
            stack.callback(engine.close)
            pool.put(server.url, engine)
        for _ in range(times):
            sink = RecordingSink()
            pool.start(chat(stream=stream), sink, Context("r"))
            sinks.append(sink.wait_for_end())
        asked = sum(each.line.startswith("POST") for server in servers for each in server.received)
        return sinks, asked, pool


def blamed(pool: Pool) -> list[str]:
    """The instances that count a failure, or are out."""
    told = pool.view().instances
    return [each.id for each in told if each.failures or each.state == "ejected"]


@pytest.mark.parametrize(
    "foreign",
    [
        answer(404, b'{"detail":"Not Found"}', JSON),
        answer(404, b"<html>no</html>", "content-type: text/html"),
        answer(405, b"", "allow: GET"),
        answer(501, b"not implemented", "content-type: text/plain"),
    ],
)
def test_an_instance_without_the_path_is_left_out_and_nobody_sees_it(foreign: bytes) -> None:
    pool = Pool("m", spec=ModelSpec(policy=PolicyName.ROUND_ROBIN))
    with ExitStack() as stack:
        wrong = stack.enter_context(RawServer(says(foreign)))
        right = stack.enter_context(RawServer(says(UNARY)))
        for server in (wrong, right):
            engine = UpstreamEngine(server.url)
            stack.callback(engine.close)
            pool.put(server.url, engine)
            stack.callback(pool.drop, server.url)  # its probes would go on forever
        for _ in range(30):
            sink = RecordingSink()
            pool.start(chat(stream=False), sink, Context("r"))
            assert sink.wait_for_end().ends == ["answer"]
        assert pool.view().instances[0].state == "ejected"


def cut(*parts: bytes) -> Script:
    def script(line: Line) -> None:
        line.hear()
        for part in parts:
            line.say(part)
        line.reset()

    return script


def test_a_refusal_whose_words_are_cut_off_is_still_a_refusal() -> None:
    head = b"HTTP/1.1 413 X\r\ncontent-length: 500\r\n\r\n"
    error = failure(cut(head + b'{"error": {"mess'))
    assert (type(error), error.status) == (EngineRejected, 413)


def test_a_loss_of_the_connection_in_an_answer_is_the_upstreams_failure() -> None:
    error = failure(cut(STREAM_HEAD + chunked(event(token("a")))))
    assert (type(error), error.status) == (EngineUnavailable, 502)


ODD: dict[str, bytes] = {
    "NaN": b'{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"x":[NaN,-Infinity]}}]}',
    "half of a pair": b'{"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}',
    "a raw control character": b'{"choices":[{"index":0,"delta":{"content":"a\x01\tb"}}]}',
    "no UTF-8": b'{"choices":[{"index":0,"delta":{"content":"a\xff\xfe"}}]}',
    "a huge number": b'{"choices":[{"index":0,"delta":{"content":"a"}}],"x":%s}' % (b"9" * 5000),
    "an infinite number": b'{"choices":[{"index":0,"delta":{"content":"a"}}],"x":1e999}',
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
@pytest.mark.parametrize("coding", ["content-encoding:", "content-encoding: Identity", "x: y"])
def test_an_odd_value_in_a_unary_answer_is_forwarded_as_it_is(odd: bytes, coding: str) -> None:
    sink, received = relay(says(answer(200, odd, JSON, coding)), chat(stream=False))
    assert (sink.ends, sink.body, len(received)) == (["answer"], odd, 1)


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_value_in_an_event_is_forwarded_as_it_is_and_counted(odd: bytes) -> None:
    said = b"data: " + odd + b"\n\n"
    script = says(STREAM_HEAD + chunked(said + said + event(FINISH) + event("[DONE]")) + LAST_CHUNK)
    sink, _ = relay(script, chat())
    assert sink.ends == ["finish"]
    assert b"".join(each for each in sink.chunks if isinstance(each, bytes)) == (
        said + said + event(FINISH)
    )
    assert sum(sink.tokens) == 2


def test_a_compressed_answer_is_still_refused() -> None:
    error = failure(says(answer(200, b"x", "content-encoding: identity, gzip")), chat(stream=False))
    assert "compressed" in error.message


def test_null_between_events_is_a_sign_of_life() -> None:
    """llama.cpp says it where a list of prompts begins."""
    said = b"data: null\n\n" + event(token("a")) + event(FINISH) + event("[DONE]")
    sink, _ = relay(says(STREAM_HEAD + chunked(said) + LAST_CHUNK), chat())
    assert sink.ends == ["finish"]
    assert sink.chunks == [b":\n\n", event(token("a")) + event(FINISH)]


@pytest.mark.parametrize("raw", [True, False])
def test_only_what_is_held_in_memory_is_bounded(
    *, raw: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_relay, "_MAX_ANSWER", 1_000)
    stream = stream_relay.StreamRelay(RecordingSink(), raw=raw)
    said = event(token("a"))
    with contextlib.nullcontext() if raw else pytest.raises(AnswerTooLong, match="too long"):
        for _ in range(1_000 // len(said) + 1):
            stream.feed(said)


@pytest.mark.parametrize("fold", ["fold", "pass"])
def test_an_answer_that_is_too_long_is_computed_once(
    fold: Literal["fold", "pass"], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (response, stream_relay):
        monkeypatch.setattr(module, "_MAX_ANSWER", 10)
    told = streamed(token("a"), FINISH) if fold == "fold" else answer(200, b"x" * 11)
    sinks, asked, pool = ask_a_pool(told, 6, stream=False, unary=fold)
    assert {type(sink.error) for sink in sinks} == {AnswerTooLong}
    assert (asked, blamed(pool)) == (6, [])
