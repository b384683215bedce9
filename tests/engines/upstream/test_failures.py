"""The relay against a real socket: how it fails, over TLS too, and how it lets go."""

from __future__ import annotations

import gzip
import logging
import time

import pytest

from actors.engines import (
    Context,
    EngineBusy,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from actors.engines.upstream import UpstreamEngine
from actors.supervision.errors import Cancelled
from tests.engines.asking import ask, chat
from tests.engines.raw_server import (
    FIXTURES,
    LAST_CHUNK,
    STREAM_HEAD,
    Line,
    RawServer,
    Script,
    answer,
    chunked,
    closed_port,
    loopback_tls,
    says,
    says_once,
)
from tests.engines.recording import DEADLINE, RecordingSink, wait_until
from tests.engines.relaying import AT_ONCE, STREAM, UNARY, failure, relay
from tests.engines.subjects import FINISH, event, token

# How it fails


def test_a_rejection_is_passed_on_in_the_upstreams_words() -> None:
    body = b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}'
    error = failure(says(answer(400, body)))
    assert isinstance(error, EngineRejected)
    assert (error.message, error.code) == ("too long", "context_length_exceeded")


def test_a_busy_upstream_is_told_with_its_retry_after() -> None:
    error = failure(says(answer(429, b"", "Retry-After: 9")))
    assert isinstance(error, EngineBusy)
    assert error.retry_after == 9


def test_a_loading_model_is_not_ready() -> None:
    body = b'{"error":{"message":"Loading model","type":"unavailable_error","code":503}}'
    error = failure(says(answer(503, body)))
    assert (error.status, error.retry_after) == (503, 1)


def test_a_connection_is_kept_after_a_rejection() -> None:
    with RawServer(says(answer(400, b"{}"))) as server:
        engine = UpstreamEngine(server.url)
        ask(engine, chat())
        ask(engine, chat())
        assert [received.line for received in server.received] == [
            "POST /v1/chat/completions HTTP/1.1"
        ] * 2
        assert engine.close()


def killed(line: Line) -> None:
    line.hear()
    line.say(STREAM_HEAD + chunked(event(token("a"))))


def reset(line: Line) -> None:
    line.hear()
    line.reset()


def reset_later(line: Line) -> None:
    killed(line)
    line.reset()


BREAKS: dict[str, Script] = {
    "killed in the middle": killed,
    "hung up before the answer": says_once(),
    "reset before the answer": reset,
    "reset in the middle": reset_later,
    "no HTTP": says_once(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "a broken chunk size": says_once(STREAM_HEAD + b"zz\r\n"),
    "a complete body without a finish": says_once(
        STREAM_HEAD + chunked(event(token("a"))) + LAST_CHUNK
    ),
    "JSON instead of a stream": says_once(UNARY),
    "a compressed stream": says_once(
        STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")
        + chunked(event(token("secret")) + event(FINISH) + event("[DONE]"))
        + LAST_CHUNK
    ),
    "a page with status 200": says_once(
        STREAM_HEAD.replace(b"event-stream", b"html")
        + chunked(b"<html>\n\n<body>secret\n\n</body>\n\n")
        + LAST_CHUNK
    ),
    "an error event of old llama.cpp": says_once(
        STREAM_HEAD + chunked(b'error: {"code": 500, "message": "secret"}\n\n')
    ),
    "an error event": says_once(STREAM_HEAD + chunked(event({"error": {"message": "secret"}}))),
}


@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS)
def test_a_broken_upstream_is_unavailable(script: Script) -> None:
    sink, _ = relay(script, chat())
    error = sink.error
    assert sink.ends == ["fail"]
    assert isinstance(error, EngineUnavailable)
    assert error.status == 502
    assert "secret" not in f"{error.message}{sink.chunks}"
    assert "127.0.0.1" not in error.message


BAD_UNARY = {
    "not JSON": answer(200, b"<html>"),
    "no object": answer(200, b"[]"),
    "an error with status 200": answer(200, b'{"error": {"message": "secret"}}'),
    "a flat error with status 200": answer(200, b'{"object": "error", "message": "secret"}'),
    "compressed": answer(200, gzip.compress(b'{"choices": []}'), "content-encoding: gzip"),
    "cut short": b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"choices": []}',
    "empty": answer(200, b""),
}


@pytest.mark.parametrize("said", BAD_UNARY.values(), ids=BAD_UNARY)
def test_a_broken_unary_answer_is_never_passed_on(said: bytes) -> None:
    error = failure(says_once(said), chat(stream=False))
    assert isinstance(error, EngineUnavailable)
    assert "secret" not in error.message


def test_a_unary_answer_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.engines.upstream.response._MAX_ANSWER", 10)
    error = failure(says_once(UNARY), chat(stream=False))
    assert "too long" in error.message


def test_nobody_listening_is_unavailable() -> None:
    engine = UpstreamEngine(f"http://127.0.0.1:{closed_port()}")
    sink = ask(engine, chat())
    assert isinstance(sink.error, EngineUnavailable)
    assert engine.close()


def test_a_name_that_does_not_exist_is_unavailable() -> None:
    engine = UpstreamEngine("http://nowhere.invalid:1")
    assert isinstance(ask(engine, chat()).error, EngineUnavailable)
    assert engine.close()


def silent(line: Line) -> None:
    line.hear()
    line.wait_for_hang_up()


def silent_after_head(line: Line) -> None:
    line.hear()
    line.say(STREAM_HEAD)
    line.wait_for_hang_up()


def silent_after_comment(line: Line) -> None:
    line.hear()
    line.say(STREAM_HEAD + chunked(b": ping\n\n"))
    line.wait_for_hang_up()


@pytest.mark.parametrize("script", [silent, silent_after_head, silent_after_comment])
def test_silence_before_the_first_chunk_is_a_timeout(script: Script) -> None:
    error = failure(script, first_byte_timeout=0.05, idle_timeout=60)
    assert isinstance(error, EngineTimeout)
    assert error.status == 504


def test_silence_between_chunks_is_a_timeout() -> None:
    def script(line: Line) -> None:
        killed(line)
        line.wait_for_hang_up()

    error = failure(script, first_byte_timeout=60, idle_timeout=0.05)
    assert isinstance(error, EngineTimeout)


def test_a_failure_is_logged_once_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "actors.engines"):
        failure(says_once())
    (record,) = caplog.records
    assert record.__dict__["request_id"] == "r"
    assert "ConnectionError" in record.__dict__["cause"]


def test_a_clients_mistake_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "actors.engines"):
        failure(says(answer(400, b"{}")))
    assert not caplog.records


# Over TLS


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the system trust the tests' certificate."""
    monkeypatch.setenv("SSL_CERT_FILE", str(FIXTURES / "loopback.pem"))


@pytest.mark.usefixtures("trusted")
def test_an_answer_is_relayed_over_tls() -> None:
    with RawServer(says(STREAM), loopback_tls()) as server:
        engine = UpstreamEngine(server.url)
        assert [ask(engine, chat()).ends for _ in range(2)] == [["finish"]] * 2
        assert server.connections == 1
        assert engine.close()


@pytest.mark.usefixtures("trusted")
def test_cancelling_hangs_up_over_tls_too() -> None:
    with RawServer(silent_after_head, loopback_tls()) as server:
        engine, sink, context = UpstreamEngine(server.url), RecordingSink(), Context("r")
        engine.start(chat(), sink, context)
        wait_until(lambda: server.received)
        context.token.cancel()
        assert isinstance(sink.wait_for_end().error, Cancelled)
        assert server.hung_up.wait(DEADLINE)
        assert engine.close()


def test_a_certificate_that_nobody_vouches_for_is_unavailable() -> None:
    with RawServer(says(STREAM), loopback_tls()) as server:
        engine = UpstreamEngine(server.url)
        assert isinstance(ask(engine, chat()).error, EngineUnavailable)
        assert engine.close()
    assert server.received == []


# How it lets go


@pytest.mark.parametrize("script", [silent, silent_after_head, silent_after_comment])
def test_cancelling_hangs_up_on_a_silent_upstream_at_once(script: Script) -> None:
    with RawServer(script) as server:
        engine, sink, context = UpstreamEngine(server.url), RecordingSink(), Context("r")
        engine.start(chat(), sink, context)
        wait_until(lambda: server.received)
        began = time.monotonic()
        context.token.cancel()
        sink.wait_for_end()
        assert server.hung_up.wait(DEADLINE)
        assert time.monotonic() - began < AT_ONCE
        assert isinstance(sink.error, Cancelled)
        assert engine.close()


def test_cancelling_a_unary_answer_hangs_up_too() -> None:
    with RawServer(silent) as server:
        engine, sink, context = UpstreamEngine(server.url), RecordingSink(), Context("r")
        engine.start(chat(stream=False), sink, context)
        wait_until(lambda: server.received)
        context.token.cancel()
        sink.wait_for_end()
        assert server.hung_up.wait(DEADLINE)
        assert engine.close()


def test_a_full_engine_refuses_the_next_request() -> None:
    with RawServer(silent) as server:
        engine = UpstreamEngine(server.url, max_connections=1)
        sink, context = RecordingSink(), Context("r")
        engine.start(chat(), sink, context)
        with pytest.raises(EngineBusy):
            engine.start(chat(), RecordingSink(), Context("r"))
        context.token.cancel()
        sink.wait_for_end()
        assert engine.close()


def test_a_closed_engine_refuses_requests() -> None:
    engine = UpstreamEngine("http://127.0.0.1:1")
    assert engine.close()
    with pytest.raises(EngineUnavailable):
        engine.start(chat(), RecordingSink(), Context("r"))
