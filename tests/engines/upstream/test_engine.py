"""The relay against a real socket: what it sends, what it passes on, where it asks."""

from __future__ import annotations

import orjson
import pytest

from actors.engines import (
    Context,
    EngineRequest,
    Kind,
)
from actors.engines.upstream import UpstreamEngine
from tests.engines.asking import ask, chat, complete
from tests.engines.raw_server import (
    STREAM_HEAD,
    Line,
    RawServer,
    capture,
    chunked,
    says,
    says_once,
)
from tests.engines.recording import RecordingSink
from tests.engines.relaying import STREAM, relay
from tests.engines.subjects import FINISH, event, token

# What is sent


@pytest.mark.parametrize(
    ("asked", "path"), [(chat(), "/v1/chat/completions"), (complete(), "/v1/completions")]
)
def test_the_clients_bytes_are_forwarded_as_they_are(asked: EngineRequest, path: str) -> None:
    raw = asked.raw.replace(b"{", b'{ "unknown" :  1e1, ', 1)
    asked = EngineRequest(asked.kind, asked.model, asked.stream, asked.body, raw)
    _, (received,) = relay(says(STREAM), asked)
    assert received.line == f"POST {path} HTTP/1.1"
    assert received.body == raw


def test_an_alias_changes_the_model_and_nothing_else() -> None:
    asked = chat(unknown=[1, {"x": None}])
    _, (received,) = relay(says(STREAM), asked, model="theirs")
    assert orjson.loads(received.body) == {**asked.body, "model": "theirs"}


def test_the_upstreams_own_name_needs_no_rewriting() -> None:
    asked = chat()
    raw = asked.raw + b" "
    asked = EngineRequest(Kind.CHAT, "m", True, asked.body, raw)
    assert relay(says(STREAM), asked, model="m")[1][0].body == raw


def test_the_request_id_and_the_key_are_sent_along() -> None:
    _, (received,) = relay(says(STREAM), chat(), Context("id-7"), api_key="k")
    assert received.headers["x-request-id"] == "id-7"
    assert received.headers["authorization"] == "Bearer k"
    assert received.headers["accept"] == "text/event-stream"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("request_id", ["a\r\nx-evil: 1", "ü", "\x00"])
def test_a_request_id_that_is_no_header_is_not_sent(request_id: str) -> None:
    sink, (received,) = relay(says(STREAM), chat(), Context(request_id))
    assert sink.ends == ["finish"]
    assert not {"x-request-id", "x-evil", "authorization"} & set(received.headers)


def test_connections_are_used_again() -> None:
    with RawServer(says(STREAM)) as server:
        engine = UpstreamEngine(server.url)
        assert [ask(engine, chat()).ends for _ in range(3)] == [["finish"]] * 3
        assert server.connections == 1
        assert engine.close()


def test_a_connection_that_was_closed_meanwhile_is_replaced_unseen() -> None:
    with RawServer(says_once(STREAM)) as server:
        engine = UpstreamEngine(server.url)
        assert [ask(engine, chat()).ends for _ in range(3)] == [["finish"]] * 3
        assert engine.close()


def test_a_connection_that_dies_under_the_request_is_replaced_once() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM)
        line.hear()  # the second request: heard, and not answered

    with RawServer(script) as server:
        engine = UpstreamEngine(server.url)
        assert ask(engine, chat()).ends == ["finish"]
        assert ask(engine, chat()).ends == ["finish"]
        assert server.connections == 2
        assert engine.close()


# What is passed on


@pytest.mark.parametrize("name", ["capture_stream.txt", "capture_stream_ping.txt"])
def test_a_real_servers_stream_is_relayed(name: str) -> None:
    sink, _ = relay(says_once(capture(name)), chat())
    assert sink.ends == ["finish"]
    said = b"".join(chunk for chunk in sink.chunks if isinstance(chunk, bytes))
    assert said.count(b"data:") == capture(name).count(b"data:") - 1
    assert b"[DONE]" not in said


def test_a_stream_that_dribbles_byte_by_byte_is_relayed() -> None:
    dribble = [bytes([byte]) for byte in capture("capture_lcp_stream.txt")]
    sink, _ = relay(says_once(*dribble), chat())
    assert sink.ends == ["finish"]
    assert sum(sink.tokens) == 7


@pytest.mark.parametrize("name", ["capture_unary_raw.txt", "capture_lcp_unary_raw.txt"])
def test_a_real_servers_unary_answer_is_passed_through(name: str) -> None:
    sink, (received,) = relay(says_once(capture(name)), chat(stream=False))
    assert sink.ends == ["answer"]
    assert sink.body == capture(name).partition(b"\r\n\r\n")[2]
    assert received.headers["accept"] == "application/json"


def test_a_stream_is_delivered_as_it_comes() -> None:
    def script(line: Line) -> None:
        line.hear()
        line.say(STREAM_HEAD + chunked(event(token("a"))))
        line.wait_for_hang_up()

    with RawServer(script) as server:
        engine, sink, context = UpstreamEngine(server.url), RecordingSink(), Context("r")
        engine.start(chat(), sink, context)
        sink.wait_for_chunks()
        context.token.cancel()
        sink.wait_for_end()
        assert engine.close()


def test_an_answer_without_length_ends_with_the_connection() -> None:
    head = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    body = event(token("a")) + event(FINISH) + event("[DONE]")
    assert relay(says_once(head, body), chat())[0].ends == ["finish"]


def test_fold_asks_for_a_stream_with_usage_and_pushes_objects() -> None:
    asked = chat(stream=False, temperature=0)
    sink, (received,) = relay(says_once(capture("capture_stream.txt")), asked, unary="fold")
    assert orjson.loads(received.body) == {
        **asked.body,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert sink.text() == "The capital of France is Paris."
    assert sink.objects[-1]["usage"]["completion_tokens"] == 8
    assert sink.ends == ["finish"]


def test_fold_leaves_a_streamed_request_alone() -> None:
    asked = chat()
    _, (received,) = relay(says(STREAM), asked, unary="fold")
    assert received.body == asked.raw


# Where it asks

PLACES = {
    "http://127.0.0.1:9/v1": ("127.0.0.1", 9, "/v1"),
    "http://127.0.0.1:9/v1/": ("127.0.0.1", 9, "/v1"),
    "http://127.0.0.1:9": ("127.0.0.1", 9, "/v1"),
    "http://127.0.0.1:9/": ("127.0.0.1", 9, "/v1"),
    "http://example.com/api/openai": ("example.com", 80, "/api/openai"),
    "https://example.com/v1": ("example.com", 443, "/v1"),
    "http://[::1]:9/v1": ("::1", 9, "/v1"),
}


@pytest.mark.parametrize(("url", "place"), PLACES.items())
def test_a_url_is_taken_apart(url: str, place: tuple[str, int, str]) -> None:
    engine = UpstreamEngine(url)
    found = engine.place
    assert (found.host, found.port, engine.base_path) == place
    assert (found.tls is not None) == url.startswith("https")
    assert engine.close()


def test_a_query_in_the_url_is_sent_along() -> None:
    with RawServer(says(STREAM)) as server:
        engine = UpstreamEngine(f"{server.url}?api-version=1")
        ask(engine, chat())
        assert engine.close()
    assert server.received[0].line == "POST /v1/chat/completions?api-version=1 HTTP/1.1"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com",
        "http://",
        "http://h:99999",
        "http://h:x",
        "http:///v1",
    ],
)
def test_a_url_that_is_none_is_refused_when_the_engine_is_made(url: str) -> None:
    with pytest.raises(ValueError):
        UpstreamEngine(url)


def test_credentials_in_the_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="api_key") as refusal:
        UpstreamEngine("http://user:hunter2@example.com/v1")
    assert "hunter2" not in str(refusal.value)
