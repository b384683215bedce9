"""Relaying an event stream: real captures, and the ways in which real servers break off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.engines import EngineUnavailable
from actors.engines.sse import MAX_EVENT_BYTES
from actors.engines.upstream.stream_relay import StreamRelay
from tests.engines.raw_server import capture
from tests.engines.recording import RecordingSink
from tests.engines.subjects import FINISH, USAGE, event, token

DONE = event("[DONE]")
STREAMS = {
    "capture_stream.txt": 7,
    "capture_stream_ping.txt": 3,
    "capture_completions_stream.txt": 6,
    "capture_lcp_stream.txt": 7,
}


def body_of(name: str) -> bytes:
    """The event stream inside a captured chunked answer."""
    _, _, rest = capture(name).partition(b"\r\n\r\n")
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return body


def relay(*pieces: bytes, raw: bool = True) -> tuple[RecordingSink, StreamRelay]:
    sink = RecordingSink()
    stream = StreamRelay(sink, raw=raw)
    for piece in pieces:
        stream.feed(piece)
    stream.end()
    return sink, stream


def joined(sink: RecordingSink) -> bytes:
    return b"".join(chunk for chunk in sink.chunks if isinstance(chunk, bytes))


@pytest.mark.parametrize(("name", "tokens"), STREAMS.items())
def test_a_real_stream_passes_byte_for_byte_but_for_its_end_marker(name: str, tokens: int) -> None:
    body = body_of(name)
    sink, stream = relay(body)
    assert joined(sink) + DONE == body
    assert sum(sink.tokens) == tokens
    assert stream.done


@given(st.data())
@settings(max_examples=30)
def test_a_real_stream_may_arrive_in_any_pieces(data: st.DataObject) -> None:
    body = body_of(data.draw(st.sampled_from(sorted(STREAMS))))
    at = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    edges = [0, *at, len(body)]
    pieces = [body[a:b] for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007  # as read
    cut, whole = relay(*pieces)[0], relay(body)[0]
    assert joined(cut) == joined(whole)
    assert sum(cut.tokens) == sum(whole.tokens)


def test_folded_chunks_are_objects_without_comments() -> None:
    sink, _ = relay(b":\n\n" + event(token("a")) + event(FINISH) + event(USAGE) + DONE, raw=False)
    assert sink.chunks == [token("a"), FINISH, USAGE]
    assert sink.tokens == [1, 0, 0]


def usage_of(prompt: int, completion: int) -> dict[str, Any]:
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def told_by_llama(index: int, **more: Any) -> dict[str, Any]:
    """The end of one choice of a text, as llama.cpp tells it."""
    choice = {"index": index, "text": "", "finish_reason": "stop"}
    usage, timings = usage_of(5, 11), {"predicted_n": 11}
    return {"choices": [choice], "usage": usage, "timings": timings, **more}


@pytest.mark.parametrize("raw", [True, False])
def test_the_usages_of_llamas_choices_become_one_at_the_end(*, raw: bool) -> None:
    sink = RecordingSink()
    stream = StreamRelay(sink, raw=raw, choices=2)
    stream.feed(b"data: null\n\n" + event(token("a")) + event(told_by_llama(0)))
    stream.feed(event(told_by_llama(1)) + DONE)
    stream.end()
    assert [chunk["usage"] for chunk in sink.objects if "usage" in chunk] == [usage_of(5, 22)]
    assert sink.objects[-1]["choices"] == []
    assert sink.finish_reasons() == {0: "stop", 1: "stop"}
    assert sum(sink.tokens) == 1


def test_the_usages_of_chats_choices_become_one_at_the_end() -> None:
    sink = RecordingSink()
    stream = StreamRelay(sink, raw=True, choices=2)
    alone = event(told_by_llama(0, choices=[]))
    stream.feed(event(token("a")) + alone + event(FINISH) + alone)
    stream.end()
    assert [chunk["usage"] for chunk in sink.objects if "usage" in chunk] == [usage_of(5, 22)]


@pytest.mark.parametrize("said", [told_by_llama(0), told_by_llama(0, choices=[])])
def test_the_usage_of_the_only_choice_passes_as_it_is(said: dict[str, Any]) -> None:
    alone = event(said).replace(b": ", b":  ")
    assert relay(event(token("a")) + event(FINISH) + alone + DONE)[0].chunks[-1] == alone


def test_usage_that_other_servers_repeat_is_left_alone() -> None:
    said = [event({**token(text), "usage": usage_of(1, at)}) for at, text in enumerate("ab")]
    sink = relay(b"".join(said) + DONE)[0]
    assert sink.chunks == said


def test_comments_pass_and_are_no_token_and_no_first_chunk() -> None:
    sink = RecordingSink()
    stream = StreamRelay(sink, raw=True)
    assert not stream.feed(b": ping\n\n:\n\n")
    assert sink.chunks == [b": ping\n\n", b":\n\n"]
    assert sink.tokens == [0, 0]
    assert stream.feed(event(token("a")))


@pytest.mark.parametrize(
    "silent",
    [
        b"\n\n",
        b"data:\n\n",
        b"retry: 3000\n\n",
        b"event: ping\n\n",
        b"<html>secret</html>\n\n",
        b'{"error": {"message": "secret"}}\n\n',
        b"\xef\xbb\xbf: hello\n\n",
    ],
)
def test_an_event_that_says_nothing_passes_as_a_bare_comment(silent: bytes) -> None:
    """Else a page would reach the client, and count as the beginning of an answer."""
    sink, _ = relay(silent + event(token("a")) + silent + DONE)
    assert sink.chunks == [b":\n\n", event(token("a")), b":\n\n"]
    assert sink.tokens == [0, 1, 0]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("before", [b": hello", b":", b": a\r\n: b", b"\xef\xbb\xbf: hello"])
def test_a_comment_before_the_data_of_an_event_is_left_out(before: bytes, end: bytes) -> None:
    """Whoever passes the event on would take it for a comment."""
    said = [event(chunk).replace(b"\n", end) for chunk in (token("a"), token("b"), FINISH, USAGE)]
    sink, _ = relay(b"".join(before + end + each for each in said) + DONE)
    assert joined(sink) == b"".join(said)
    assert sum(sink.tokens) == 2
    assert sink.chunks[-1] == said[-1]


def test_a_byte_order_mark_hides_no_first_event() -> None:
    sink, _ = relay(b"\xef", b"\xbb\xbf" + event(token("a")), event(token("b")) + DONE)
    assert joined(sink) == event(token("a")) + event(token("b"))
    assert sink.tokens == [1, 1]
    assert relay(b"\xef\xbb\xbf" + event(token("a")) + DONE, raw=False)[0].chunks == [token("a")]


def test_nothing_passes_after_the_end_marker() -> None:
    sink, _ = relay(DONE + event(token("a")), event({"error": {}}), b": late\n\n")
    assert sink.chunks == []


def test_a_stream_without_end_marker_is_whole_if_every_choice_was_finished() -> None:
    sink, stream = relay(event(token("a")) + event(FINISH) + event(USAGE))
    assert sink.chunks == [event(token("a")) + event(FINISH), event(USAGE)]
    assert sink.tokens == [1, 0]
    assert not stream.done


def test_a_stream_with_end_marker_is_whole_without_a_finish() -> None:
    assert len(relay(event(token("a")) + DONE)[0].chunks) == 1


def other_choice(finish: str | None) -> dict[str, Any]:
    return {"choices": [{"index": 1, "text": "b", "finish_reason": finish}]}


BROKEN_OFF = {
    "nothing came": b"",
    "only comments came": b": ping\n\n",
    "no finish": event(token("a")),
    "half an event": event(token("a")) + event(FINISH)[:-1],
    "one of two choices unfinished": event(token("a")) + event(other_choice(None)) + event(FINISH),
    "only a usage": event(USAGE),
}


@pytest.mark.parametrize("body", BROKEN_OFF.values(), ids=BROKEN_OFF)
def test_a_stream_cut_short_never_looks_complete(body: bytes) -> None:
    with pytest.raises(EngineUnavailable, match="broke off"):
        relay(body)


def test_an_error_event_fails_the_answer_without_its_words() -> None:
    with pytest.raises(EngineUnavailable) as failure:
        relay(event(token("a")) + event({"error": {"message": "secret"}}) + DONE)
    assert "secret" not in failure.value.message


@pytest.mark.parametrize("data", [b'data: {"oops\n\n', b"data: hello\n\n", b"data: [1]\n\n"])
def test_what_a_client_could_not_read_fails_the_answer(data: bytes) -> None:
    with pytest.raises(EngineUnavailable, match="can't be read"):
        relay(data + DONE)


def test_an_endless_event_fails_the_answer() -> None:
    with pytest.raises(EngineUnavailable, match="can't be read"):
        relay(b"x" * (MAX_EVENT_BYTES + 1))


@pytest.mark.parametrize(
    "choices", [None, 5, [None], [{"index": []}], [{"delta": 5}], [{"index": {}, "text": []}]]
)
def test_strange_choices_pass_as_they_are(choices: Any) -> None:
    strange = event({"choices": choices})
    assert relay(strange + DONE)[0].chunks == [strange]
