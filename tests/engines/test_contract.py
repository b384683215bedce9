"""The contract of ``actors.engines.contract``, held by every engine that we have."""

from __future__ import annotations

import time
from typing import Any

import pytest

from actors.engines import Context, Engine, EngineError, EngineRejected, EngineRequest, tokens_in
from actors.engines.sse import read_event, split_events
from actors.supervision.cancellation import CancellationToken
from actors.supervision.errors import Cancelled
from tests.engines.recording import RecordingSink
from tests.engines.subjects import SUBJECTS, Subject, Way

AT_ONCE = 2.0  # seconds; start() takes microseconds, but this machine is busy


def going(*ways: Way) -> pytest.MarkDecorator:
    """Run a test for every engine that can go each of ``ways``."""
    cases = [
        pytest.param(
            subject,
            way,
            id=f"{subject.name}-{way.name.lower()}",
            marks=[pytest.mark.model] if subject.is_model else [],
        )
        for subject in SUBJECTS
        for way in ways
        if way in subject.ways
    ]
    return pytest.mark.parametrize(("subject", "way"), cases)


def run(engine: Engine, request: EngineRequest, context: Context | None = None) -> RecordingSink:
    """Start and wait for the end; an error raised by ``start`` counts as the end, as it may."""
    sink = RecordingSink()
    try:
        engine.start(request, sink, context or Context("r"))
    except EngineError as error:
        assert not sink.chunks
        assert not sink.ends
        sink.fail(error)
    return sink.wait_for_end()


def objects(sink: RecordingSink) -> list[dict[str, Any]]:
    """Every chunk as an object, relayed bytes too."""
    found: list[dict[str, Any]] = []
    for chunk in sink.chunks:
        if isinstance(chunk, bytes):
            found += [read_event(event).chunk for event in split_events(chunk)]
        else:
            found.append(chunk)
    return found


def cancelled_later(subject: Subject, way: Way) -> RecordingSink:
    """Cancel after the first chunk."""
    context, sink = Context("r"), RecordingSink()
    with subject.stage(way) as (engine, request):
        engine.start(request, sink, context)
        sink.wait_for_chunks()
        context.token.cancel()
        return sink.wait_for_end()


@going(Way.ANSWER)
def test_an_answer_ends_once_with_its_usage_last(subject: Subject, way: Way) -> None:
    with subject.stage(way) as (engine, request):
        sink = run(engine, request)
    assert sink.ends == ["finish"]
    *answer, last = objects(sink)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 3
    assert not any(chunk.get("usage") for chunk in answer)


@going(Way.ANSWER)
def test_the_tokens_pushed_are_the_tokens_in_the_chunks(subject: Subject, way: Way) -> None:
    with subject.stage(way) as (engine, request):
        sink = run(engine, request)
    assert sink.tokens == [tokens_in(chunk) for chunk in sink.chunks]
    assert sum(sink.tokens) == 3


@going(Way.ANSWER)
def test_no_chunk_is_the_end_marker_of_the_stream(subject: Subject, way: Way) -> None:
    with subject.stage(way) as (engine, request):
        sink = run(engine, request)
    assert not [chunk for chunk in sink.chunks if isinstance(chunk, bytes) and b"[DONE]" in chunk]


@going(Way.ANSWER)
def test_every_choice_that_begins_is_finished(subject: Subject, way: Way) -> None:
    with subject.stage(way) as (engine, request):
        sink = run(engine, request)
    choices = [choice for chunk in objects(sink) for choice in chunk["choices"]]
    assert choices[-1]["finish_reason"] in ("stop", "length")


@going(Way.PAUSE)
def test_start_returns_at_once(subject: Subject, way: Way) -> None:
    context, sink = Context("r"), RecordingSink()
    with subject.stage(way) as (engine, request):
        began = time.monotonic()
        engine.start(request, sink, context)
        took = time.monotonic() - began
        context.token.cancel()
        sink.wait_for_end()
    assert took < AT_ONCE


@going(Way.PAUSE, Way.ANSWER)
def test_cancelled_before_the_start_says_nothing_and_ends_as_cancelled(
    subject: Subject, way: Way
) -> None:
    token = CancellationToken()
    token.cancel()
    with subject.stage(way) as (engine, request):
        sink = run(engine, request, Context("r", token))
    assert not sink.chunks
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, Cancelled)


@going(Way.PAUSE)
def test_cancelled_in_the_middle_ends_once_as_cancelled(subject: Subject, way: Way) -> None:
    sink = cancelled_later(subject, way)
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, Cancelled)
    assert not sink.late


@going(Way.PAUSE)
def test_a_cancelled_parent_cancels_the_answer(subject: Subject, way: Way) -> None:
    drain, sink = CancellationToken(), RecordingSink()
    with subject.stage(way) as (engine, request):
        engine.start(request, sink, Context("r", drain.child()))
        sink.wait_for_chunks()
        drain.cancel()
        sink.wait_for_end()
    assert isinstance(sink.error, Cancelled)


@going(Way.REJECT)
def test_an_engine_error_passes_as_it_is(subject: Subject, way: Way) -> None:
    with subject.stage(way) as (engine, request):
        sink = run(engine, request)
    assert not sink.chunks
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, EngineRejected)
    assert sink.error.status == 400


@going(Way.REJECT_LATER)
def test_an_engine_error_in_the_middle_ends_the_answer(subject: Subject, way: Way) -> None:
    with subject.stage(way) as (engine, request):
        sink = run(engine, request)
    assert len(sink.chunks) == 1
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, EngineError)
    assert "secret" not in sink.error.message


@going(Way.CRASH)
def test_a_foreign_exception_reaches_the_sink_as_it_is(subject: Subject, way: Way) -> None:
    with subject.stage(way) as (engine, request):
        sink = run(engine, request)
    assert not sink.chunks
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, ZeroDivisionError)


@going(Way.CRASH_LATER)
def test_a_foreign_exception_in_the_middle_keeps_what_was_said(subject: Subject, way: Way) -> None:
    with subject.stage(way) as (engine, request):
        sink = run(engine, request)
    assert len(sink.chunks) == 1
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, ZeroDivisionError)


@going(Way.ANSWER)
def test_an_engine_answers_again_after_a_cancelled_request(subject: Subject, way: Way) -> None:
    token = CancellationToken()
    token.cancel()
    with subject.stage(way) as (engine, request):
        run(engine, request, Context("first", token))
        assert run(engine, request).ends == ["finish"]


@going(Way.ANSWER)
def test_two_answers_at_once_are_two_whole_answers(subject: Subject, way: Way) -> None:
    sinks = RecordingSink(), RecordingSink()
    with subject.stage(way) as (engine, request):
        for sink in sinks:
            engine.start(request, sink, Context("r"))
        for sink in sinks:
            sink.wait_for_end()
    assert [sink.ends for sink in sinks] == [["finish"], ["finish"]]
    assert [sum(sink.tokens) for sink in sinks] == [3, 3]


def test_every_engine_shape_is_in_the_suite() -> None:
    names = {subject.name for subject in SUBJECTS}
    assert names >= {"generator", "async-generator", "push", "echo", "upstream", "llama"}
    assert all({Way.ANSWER, Way.PAUSE, Way.REJECT} <= subject.ways for subject in SUBJECTS)
