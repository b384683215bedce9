"""What is recognised without decoding is exactly what decoding would have found."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.engines.dialect import ReadEvents
from actors.engines.errors import EngineError
from actors.engines.sse import EventKind, read_event, split_events
from actors.engines.tokens import tokens_in
from actors.engines.upstream.stream_relay import StreamRelay
from actors.engines.upstream.token_template import TokenTemplate, template_of
from tests.engines.recording import RecordingSink
from tests.engines.subjects import FINISH, USAGE, event, token


def shape_of(chunk: dict[str, Any]) -> TokenTemplate | None:
    return template_of(event(chunk), chunk)


def known(chunk: dict[str, Any]) -> TokenTemplate:
    shape = shape_of(chunk)
    assert shape is not None
    return shape


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


SIMPLE: dict[str, dict[str, Any]] = {
    "a token": token("a"),
    "reasoning": delta(reasoning_content="hm"),
    "text": {"choices": [{"index": 0, "text": "a", "finish_reason": None}]},
    "a null usage": {**token("a"), "usage": None},
    "a role and a token": delta(role="assistant", content="a"),
    "a text in another alphabet": token("日本"),
}


@pytest.mark.parametrize("chunk", SIMPLE.values(), ids=SIMPLE)
def test_a_token_among_unchanging_fields_has_a_shape(chunk: dict[str, Any]) -> None:
    run = known(chunk).run(event(chunk) * 3 + event(FINISH), 0)
    assert run == (3 * len(event(chunk)), 3)


NOT_SIMPLE: dict[str, dict[str, Any]] = {
    "a role": delta(role="assistant", content=""),
    "two outputs": delta(content="a", reasoning_content="b"),
    "a tool call": delta(tool_calls=[{"index": 0}]),
    "content that is no string": delta(content=["a"]),
    "a finish": {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]},
    "two choices": {"choices": [*token("a")["choices"], *token("b")["choices"]]},
    "usage": {**token("a"), "usage": {"completion_tokens": 1}},
    "the same name elsewhere": {**token("a"), "extra": {"content": "b"}},
    "no choices": {"choices": []},
    "strange choices": {"choices": [None]},
}


@pytest.mark.parametrize("chunk", NOT_SIMPLE.values(), ids=NOT_SIMPLE)
def test_whatever_is_not_so_simple_has_none(chunk: dict[str, Any]) -> None:
    assert shape_of(chunk) is None


@pytest.mark.parametrize(
    "raw",
    [
        b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":null}],"c\\u006fntent":1}\n\n',
        b'data: {"choices":\ndata: [{"delta":{"content":"a"},"finish_reason":null}]}\n\n',
        b': x\ndata: {"choices":[{"delta":{"content":"a"},"finish_reason":null}]}\n\n',
    ],
)
def test_an_event_that_can_be_read_in_two_ways_has_none(raw: bytes) -> None:
    assert template_of(raw, read_event(raw).chunk) is None


@pytest.mark.parametrize(
    "inside",
    [
        b'"', b"\\", b"\n", b"\x00", b"\\x", b"\\u12", b"\\ud83d", b"\xff", b'","x":"', b"\r\n",
    ],
)  # fmt: skip
def test_what_is_no_string_is_never_recognised(inside: bytes) -> None:
    shape = known(token("a"))
    assert shape.run(shape.before + inside + shape.after, 0) is None
    seam = shape.after + shape.before
    many = shape.before + b"a" + seam + inside + seam + b"b" + shape.after
    run = shape.run(many, 0)
    assert run is None or run[0] == len(shape.before + b"a" + shape.after)


@pytest.mark.parametrize(
    "other",
    [
        event(FINISH),
        event({**token("b"), "id": 2}),
        event(token("a")).replace(b'"a"', b'"\\ud83d"'),
        event(token("a")).replace(b'"a"', b'"\xff"'),
        b": ping\n\n",
        event(token("a"))[:-1],
        b"\n",
    ],
)
def test_a_run_ends_before_what_differs(other: bytes) -> None:
    one = event(token("a"))
    run = known(token("a")).run(one * 3 + other + one * 2, 0)
    assert run == (3 * len(one), 3)


def test_what_was_read_says_so_and_usage_stands_alone() -> None:
    sink = RecordingSink()
    relay = StreamRelay(sink, raw=True)
    relay.feed(event(token("a")) * 3 + event(FINISH) + event(USAGE) + b"data: [DONE]\n\n")

    read = [each for each in sink.chunks if isinstance(each, ReadEvents)]
    assert [each.completion_tokens for each in read] == [None, 3]
    assert [each.only_usage for each in read] == [False, True]


texts = st.text(max_size=6) | st.sampled_from(
    ["", '"', "\\", "\n", '"}', '{"content":"x"}', "\u2028"]
)


@given(st.lists(texts, min_size=1, max_size=8))
def test_any_texts_are_counted_as_decoding_counts_them(said: list[str]) -> None:
    chunks = [token(text) for text in said]
    batch = b"".join(map(event, chunks))
    run = known(token("a")).run(batch, 0)
    assert run == (len(batch), sum(map(tokens_in, chunks)))


def numbered(number: int) -> bytes:
    """A token whose event differs from others."""
    return event({**token("a"), "id": number})


pieces = st.lists(
    st.one_of(
        texts.map(token).map(event),
        st.sampled_from([event(FINISH), event(USAGE), b": ping\n\n", b"\n", b"data: [DONE]\n\n"]),
        st.integers(0, 3).map(numbered),
        st.just(event(token("a")).replace(b"\n", b"\r\n")),
    ),
    max_size=15,
)


@given(pieces, st.lists(st.integers(0, 900), max_size=5))
@example([b"\n", b": ping\n\n"], [])
def test_a_stream_is_relayed_as_if_each_event_were_decoded(
    events: list[bytes], cuts: list[int]
) -> None:
    whole = b"".join(events)
    sink, expected, tokens = RecordingSink(), b"", 0
    relay = StreamRelay(sink, raw=True)
    edges = [0, *sorted(cuts), len(whole)]
    for index, start in enumerate(edges[:-1]):
        relay.feed(whole[start : edges[index + 1]])
    for each in split_events(whole):
        read = read_event(each)
        if read.kind is EventKind.DONE:
            break
        expected += each
        tokens += tokens_in(each)
    chunks = [chunk for chunk in sink.chunks if isinstance(chunk, bytes)]
    assert all(chunk.endswith((b"\n\n", b"\r\n\r\n")) for chunk in chunks)
    said = b"".join(chunk for chunk in chunks if chunk != b":\n\n")  # a blank line between events
    assert said.split() == expected.split()
    assert sum(sink.tokens) == tokens
    assert sink.tokens == [tokens_in(chunk) for chunk in sink.chunks]


def test_comments_and_usage_go_alone_and_the_rest_together() -> None:
    sink = RecordingSink()
    two = event(token("a")) + event(token("b"))
    StreamRelay(sink, raw=True).feed(b": ping\n\n" + two + event(FINISH) + event(USAGE))
    assert sink.chunks == [b": ping\n\n", two + event(FINISH), event(USAGE)]
    assert sink.tokens == [0, 2, 0]


def test_a_stream_whose_events_all_differ_is_counted_too() -> None:
    sink = RecordingSink()
    relay = StreamRelay(sink, raw=True)
    for number in range(50):
        relay.feed(event({**token("a"), "created": number}))
    assert sum(sink.tokens) == 50


def test_what_a_client_could_not_read_after_a_run_fails_after_the_run() -> None:
    sink = RecordingSink()
    run = event(token("a")) * 3
    with pytest.raises(Exception, match="can't be read"):
        StreamRelay(sink, raw=True).feed(run + b"data: {oops\n\n")
    assert (sink.chunks, sink.tokens) == ([run], [3])


HOSTILE = st.one_of(
    st.text().map(lambda text: orjson.dumps(text)[1:-1]),
    st.binary(max_size=40),
    st.lists(
        st.sampled_from(
            [
                b'"',
                b"\\",
                b"\n\n",
                b"\r",
                b"\\u00e9",
                b"\\ud800",
                b"\xff",
                b"a",
                b'"}}]}\n\n',
                b"data: ",
            ]
        ),
        max_size=8,
    ).map(b"".join),
)


@given(HOSTILE)
@example(b"")
@example(b'","finish_reason":"stop')
def test_one_event_that_looks_like_the_last_one_is_read_as_if_it_were_decoded(text: bytes) -> None:
    first = event(token("@"))
    one = first.replace(b"@", text)
    found: list[tuple[object, ...]] = []
    # The second relay gets the same bytes in two pieces, which no shortcut takes.
    for pieces in ([one], [one[:-1], one[-1:]]):
        sink = RecordingSink()
        relay = StreamRelay(sink, raw=True)
        relay.feed(first)
        error = ""
        try:
            for piece in pieces:
                relay.feed(piece)
        except EngineError as failure:
            error = failure.message
        found.append(
            (
                b"".join(chunk for chunk in sink.chunks[1:] if isinstance(chunk, bytes)),
                sum(sink.tokens),
                error,
            )
        )
    assert found[0] == found[1]


def test_nothing_is_pushed_after_the_end_marker_not_even_what_looks_like_a_token() -> None:
    sink = RecordingSink()
    relay = StreamRelay(sink, raw=True)
    one = event(token("a"))
    relay.feed(one)
    relay.feed(b"data: [DONE]\n\n")
    relay.feed(one)
    assert sink.chunks == [one]
