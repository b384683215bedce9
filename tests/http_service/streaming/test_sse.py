"""Chunks as server-sent events."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.engines.contract import Chunk, Kind
from http_service.errors import Draining, reply_for
from http_service.streaming.sse import DONE, encode, error_event
from tests.http_service.engines import token_chunk
from tests.http_service.exchanges import unary

USAGE = {"prompt_tokens": 4, "completion_tokens": 8, "total_tokens": 12}
USAGE_CHUNK: dict[str, Any] = {"id": "x", "choices": [], "usage": USAGE}


def event(document: object) -> bytes:
    """``document`` as an upstream would send it."""
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def test_a_chunk_is_one_line_of_json() -> None:
    chunk = token_chunk(Kind.CHAT, 'Zeile\nmit "Quote" und ü')

    frame = encode(chunk, include_usage=False)

    assert frame.data.startswith(b"data: {")
    assert frame.data.endswith(b"}\n\n")
    assert frame.data.count(b"\n") == 2
    assert json.loads(frame.data[6:]) == chunk
    assert not frame.comment
    assert frame.completion_tokens is None


@pytest.mark.parametrize("chunk", [USAGE_CHUNK, event(USAGE_CHUNK)], ids=["chunk", "bytes"])
def test_the_usage_chunk_is_dropped_unless_asked_for(chunk: Chunk) -> None:
    assert encode(chunk, include_usage=False).data == b""
    kept = encode(chunk, include_usage=True).data
    assert json.loads(kept[6:]) == USAGE_CHUNK


@pytest.mark.parametrize("include_usage", [True, False])
@pytest.mark.parametrize("chunk", [USAGE_CHUNK, event(USAGE_CHUNK)], ids=["chunk", "bytes"])
def test_the_engines_own_count_is_read_even_from_a_dropped_chunk(
    chunk: Chunk, include_usage: bool
) -> None:
    assert encode(chunk, include_usage=include_usage).completion_tokens == 8


def test_usage_that_rides_on_a_finish_chunk_passes() -> None:
    chunk = {**token_chunk(Kind.COMPLETIONS, "", finish="length"), "usage": USAGE}

    for form in (chunk, event(chunk)):
        frame = encode(form, include_usage=False)
        assert json.loads(frame.data[6:]) == chunk
        assert frame.completion_tokens == 8


def test_a_relayed_event_passes_byte_for_byte() -> None:
    data = b'data:{"choices": [ {"delta":{"content":"x"} } ],  "usage":null}\r\n\r\n'

    assert encode(data, include_usage=False).data is data


def test_a_comment_is_told_from_an_answer() -> None:
    frame = encode(b": ping\n\n", include_usage=False)

    assert frame.comment
    assert frame.data == b": ping\n\n"


def test_data_behind_a_comment_line_is_an_answer() -> None:
    frame = encode(b": ping\n" + _event({"choices": [{"index": 0}]}), include_usage=False)

    assert not frame.comment
    assert frame.data.startswith(b": ping\n")


def test_of_events_pushed_together_each_is_looked_at() -> None:
    token, usage = _event({"choices": [{"index": 0}]}), _event(USAGE_CHUNK)
    ping = b": ping\n\n"

    frame = encode(ping + token + usage, include_usage=False)
    assert frame == (ping + token, False, 8)
    assert encode(ping + token + usage, include_usage=True).data == ping + token + usage
    assert encode(ping + ping, include_usage=False).comment


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(chunk).encode()


def test_broken_bytes_that_mention_usage_pass_and_count_nothing() -> None:
    data = b'data: {"usage":{ oops\n\n'

    frame = encode(data, include_usage=False)

    assert frame.data == data
    assert frame.completion_tokens is None


def test_an_error_event_is_openais_error_object() -> None:
    data = error_event(reply_for(Draining()))

    assert data.endswith(b"\n\n")
    assert json.loads(data.removeprefix(b"data: "))["error"]["code"] == "shutting_down"
    assert DONE == b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (json.dumps({"usage": USAGE}).encode(), 8),
        (b'{"choices": []}', None),
        (b'{"usage": null}', None),
        (b'{"usage": {"completion_tokens": "8"}}', None),
        (b'{"usage": {"completion_tokens": true}}', None),
        (b'["usage"]', None),
        (b'{"usage": {', None),
        (b"", None),
    ],
)
def test_the_usage_of_a_whole_answer_is_read_if_it_is_there(
    body: bytes, tokens: int | None
) -> None:
    exchange = unary()
    exchange.answer(body)
    exchange.take()

    assert exchange.guard.usage == (tokens or 0)
