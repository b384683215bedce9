"""Random streams of both dialects through the native relay, in random pieces, whole and cut."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import EngineError
from actors.engines.dialect import Dialect, Native
from actors.engines.upstream.native_relay import NativeRelay
from tests.engines.recording import RecordingSink

SILENCE = b":\n\n"

OPENINGS = {
    Dialect.MESSAGES: ["message_start", "content_block_start"],
    Dialect.RESPONSES: ["response.created", "response.in_progress", "response.output_item.added"],
}
DELTAS = {
    Dialect.MESSAGES: ["content_block_delta"],
    Dialect.RESPONSES: ["response.output_text.delta", "response.function_call_arguments.delta"],
}
OUTPUTS = {
    Dialect.MESSAGES: ["content_block_stop", "message_delta"],
    Dialect.RESPONSES: ["response.output_item.done"],
}
LATER = {
    Dialect.MESSAGES: ["content_block_start", "ping"],
    Dialect.RESPONSES: ["response.content_part.done", "response.queued"],
}
ENDS = {
    Dialect.MESSAGES: ["message_stop"],
    Dialect.RESPONSES: ["response.completed", "response.incomplete"],
}
FAILURES = {Dialect.MESSAGES: ["error"], Dialect.RESPONSES: ["error", "response.failed"]}
COMMENTS = [b": ping\n\n", b":\n\n"]


@dataclass(frozen=True)
class Stream:
    """A whole stream of a dialect: what comes before the first output, and the rest."""

    dialect: Dialect
    opening: tuple[bytes, ...]
    rest: tuple[bytes, ...]
    deltas: int
    blank: int
    """Bytes of the line that ends an event."""

    @property
    def data(self) -> bytes:
        return b"".join((*self.opening, *self.rest))

    @property
    def passed(self) -> bytes:
        """What a client gets."""
        heard = [each for each in self.opening if not each.startswith(b":") and b"ping" not in each]
        return b"".join((*heard, *self.rest))


def event(kind: str, text: str, line: bytes, *, named: bool) -> bytes:
    data = json.dumps({"type": kind, "text": text, "error": {"message": text}}, ensure_ascii=False)
    if kind not in {"error", "response.failed"}:
        data = json.dumps({"type": kind, "text": text}, ensure_ascii=False)
    name = b"event: %s%s" % (kind.encode(), line) if named else b""
    return b"%sdata: %s%s%s" % (name, data.encode(), line, line)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """An opening with comments and pings, some output, an end."""
    dialect = draw(st.sampled_from(list(Dialect)))
    line = draw(st.sampled_from([b"\n", b"\r\n"]))
    named = draw(st.booleans())
    texts = st.text(st.characters(codec="utf-8"), max_size=6)

    def events(kinds: Iterable[str], most: int, least: int = 0) -> list[bytes]:
        chosen = draw(st.lists(st.sampled_from([*kinds]), min_size=least, max_size=most))
        return [event(kind, draw(texts), line, named=named) for kind in chosen]

    silent = st.lists(st.sampled_from(COMMENTS), max_size=2)
    opening = [*draw(silent), *events(OPENINGS[dialect], 3), *events(["ping"], 1), *draw(silent)]
    first = events([*DELTAS[dialect], *OUTPUTS[dialect]], 1, 1)
    rest = events([*DELTAS[dialect], *OUTPUTS[dialect], *LATER[dialect]], 5)
    end = events(ENDS[dialect], 1, 1)
    body = (*first, *rest, *end)
    deltas = sum(kind.encode() in each for each in body for kind in DELTAS[dialect])
    return Stream(dialect, tuple(opening), body, deltas, len(line))


@st.composite
def pieces_of(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """``data`` in random pieces."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    edges = [0, *cuts, len(data)]
    return [data[one:other] for one, other in pairwise(edges)]


def relayed(dialect: Dialect, pieces: Iterable[bytes], *, ended: bool = True) -> RecordingSink:
    """What a sink gets of these reads; as an upstream's call does, it fails the sink."""
    sink = RecordingSink()
    relay = NativeRelay(sink, dialect)
    try:
        for piece in pieces:
            if not relay.done:
                relay.feed(piece)
        if ended:
            relay.end()
    except EngineError as error:
        sink.fail(error)
    return sink


def said(sink: RecordingSink) -> bytes:
    """The events, without the comments that stand for silence."""
    chunks: list[Any] = [chunk for chunk in sink.chunks if chunk != SILENCE]
    assert all(isinstance(chunk, Native) for chunk in chunks)
    return b"".join(chunks)


@given(st.data(), streams())
def test_a_whole_stream_passes_byte_for_byte_however_it_is_split(
    data: st.DataObject, stream: Stream
) -> None:
    sink = relayed(stream.dialect, data.draw(pieces_of(stream.data)))

    assert said(sink) == stream.passed
    assert sum(sink.tokens) == stream.deltas
    assert sink.ends == ["finish"]


@given(st.data(), streams())
def test_a_cut_stream_never_looks_complete(data: st.DataObject, stream: Stream) -> None:
    cut = data.draw(st.integers(0, len(stream.data) - stream.blank - 1))
    sink = relayed(stream.dialect, data.draw(pieces_of(stream.data[:cut])))

    assert sink.ends == ["fail"]
    assert stream.passed.startswith(said(sink))
    assert stream.rest[-1] not in said(sink)


@given(st.data(), streams())
def test_nothing_passes_before_the_first_output(data: st.DataObject, stream: Stream) -> None:
    opening = b"".join(stream.opening)
    # Even with a part of the first event that is output.
    part = data.draw(st.integers(0, len(stream.rest[0]) - stream.blank - 1))
    heard = opening + stream.rest[0][:part]
    sink = relayed(stream.dialect, data.draw(pieces_of(heard)), ended=False)

    assert said(sink) == b""
    assert sum(sink.tokens) == 0
    assert sink.ends == []


@given(st.data(), streams(), st.booleans())
def test_an_error_event_ends_the_stream_wherever_it_comes(
    data: st.DataObject, stream: Stream, named: bool
) -> None:
    events = (*stream.opening, *stream.rest[:-1])
    at = data.draw(st.integers(0, len(events)))
    kind = data.draw(st.sampled_from(FAILURES[stream.dialect] if named else ["error"]))
    failure = event(kind, "secret", b"\n", named=named)
    told = b"".join((*events[:at], failure, *stream.rest))
    sink = relayed(stream.dialect, data.draw(pieces_of(told)))

    assert sink.ends == ["fail"]
    assert failure not in said(sink)
    assert stream.passed.startswith(said(sink))
    assert (said(sink) == b"") == (at <= len(stream.opening))


@given(st.data(), streams())
def test_nothing_passes_after_the_event_that_completes_the_stream(
    data: st.DataObject, stream: Stream
) -> None:
    more = stream.data + b"data: [DONE]\n\n" + stream.rest[0]
    sink = relayed(stream.dialect, data.draw(pieces_of(more)))

    assert said(sink) == stream.passed
    assert sink.ends == ["finish"]


@pytest.mark.parametrize("dialect", list(Dialect))
def test_pings_without_end_are_an_error(dialect: Dialect) -> None:
    sink = relayed(dialect, [b"event: ping\ndata: {}\n\n" * 1000] * 20)
    assert sink.ends == ["fail"]
