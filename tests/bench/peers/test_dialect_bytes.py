"""What the mock upstream says in other APIs is what their clients, and the relay, read."""

from __future__ import annotations

import json

from actors.engines.dialect import Dialect
from actors.engines.upstream.native_relay import NativeRelay
from tests.bench.dialects import PAIRS
from tests.bench.peers.answer import MARK
from tests.bench.peers.dialect_bytes import DIMENSIONS, DOCUMENTS, WORDS
from tests.engines.recording import RecordingSink


def body_of(response: bytes) -> bytes:
    """The body of a chunked response."""
    rest, body = response.split(b"\r\n\r\n", 1)[1], b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


def test_a_messages_stream_is_whole_and_holds_its_tokens() -> None:
    said = body_of(WORDS[b"/v1/messages"].burst(9))
    sink = RecordingSink()
    relay = NativeRelay(sink, Dialect.MESSAGES)
    relay.feed(said)
    relay.end()

    assert (sink.ends, sum(sink.tokens), said.count(MARK)) == (["finish"], 9, 9)


def test_a_vector_has_its_numbers() -> None:
    document = json.loads(DOCUMENTS[b"/v1/embeddings"].split(b"\r\n\r\n", 1)[1])
    assert len(document["data"][0]["embedding"]) == 4 * -(-4 * DIMENSIONS // 3)


def test_no_two_pairs_have_one_name() -> None:
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)
