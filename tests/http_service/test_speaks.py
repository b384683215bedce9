"""Servers that speak a client's dialect are passed through to; others in the pool, translated.

With the makers' own clients, against real servers behind a real service.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from actors.engines.dialect import Dialect
from actors.engines.pool import HedgeAfter, ModelSpec, PolicyName
from http_service.api.endpoints.responses import DROPPED_TOOLS
from tests.engines.raw_server import Line, answer, chunked, says, says_once
from tests.http_service.conftest import LOCAL
from tests.http_service.native_upstream import NATIVE_ID, Upstream
from tests.http_service.serving import eventually
from tests.http_service.worlds import BODIES, MODEL_SPEC, Told, World, world

SAID = "I am here"
DIALECTS = pytest.mark.parametrize("dialect", list(Dialect))
PIECE = b'event: content_block_delta\ndata: {"type":"content_block_delta"}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.fixture
def native() -> Iterator[World]:
    """One server that speaks nothing but the dialects."""
    with world((Upstream(*Dialect), tuple(Dialect))) as it:
        yield it


@DIALECTS
def test_a_native_answer_in_one_piece_passes_as_it_is(native: World, dialect: Dialect) -> None:
    told = native.whole(dialect)

    assert told.text == SAID
    assert told.id.endswith(NATIVE_ID)


@DIALECTS
def test_a_native_stream_passes_as_it_is(native: World, dialect: Dialect) -> None:
    told = native.stream(dialect)

    assert (told.text, told.error) == (SAID, None)
    assert told.id.endswith(NATIVE_ID)


@DIALECTS
def test_a_native_server_is_asked_in_the_clients_own_words(native: World, dialect: Dialect) -> None:
    body = {**BODIES[dialect], "only_here": [1.50]}
    native.client.call(
        "POST", f"/v1/{dialect}?beta=true", body, **{"anthropic-version": "2023-06-01"}
    )
    (asked,) = native.servers[0].received
    assert asked.line == f"POST /v1/{dialect} HTTP/1.1"
    assert json.loads(asked.body) == body
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert "x-callboard-dropped-tools" not in asked.headers


@DIALECTS
def test_an_alias_reaches_a_native_server_as_the_models_name(
    native: World, dialect: Dialect
) -> None:
    native.client.post(f"/v1/{dialect}", {**BODIES[dialect], "model": "alias"})
    (asked,) = native.servers[0].received
    assert json.loads(asked.body)["model"] == "m"


@DIALECTS
def test_the_tokens_of_native_answers_are_counted(native: World, dialect: Dialect) -> None:
    native.whole(dialect)
    native.stream(dialect)
    lines = native.client.get("/metrics").body.decode().splitlines()
    (tokens,) = [line for line in lines if "_output_tokens_total{" in line and '"m"' in line]
    assert float(tokens.split()[-1]) == 10.0


@DIALECTS
def test_a_server_that_does_not_say_so_is_translated(dialect: Dialect) -> None:
    with world((Upstream(chat=True), ())) as it:
        assert it.whole(dialect).text == SAID
        assert it.stream(dialect).text == SAID
        paths = {each.line for each in it.servers[0].received}
    assert paths == {"POST /v1/chat/completions HTTP/1.1"}


@DIALECTS
def test_one_that_is_only_asked_for_streams_is_translated_in_one_piece(dialect: Dialect) -> None:
    with world((Upstream(*Dialect, chat=True), tuple(Dialect)), unary="fold") as it:
        assert it.whole(dialect).text == SAID
        assert it.stream(dialect).id.endswith(NATIVE_ID)
        paths = [each.line.split()[1] for each in it.servers[0].received]
    assert paths == ["/v1/chat/completions", f"/v1/{dialect}"]


@DIALECTS
@pytest.mark.parametrize("stream", [False, True])
def test_a_retry_may_change_the_dialect(dialect: Dialect, *, stream: bool) -> None:
    dead = says_once()
    for order in (((dead, (dialect,)), (Upstream(chat=True), ())), ((dead, ()), NATIVE[dialect])):
        with world(*order) as it:
            told = [it.stream(dialect) if stream else it.whole(dialect) for _ in range(2)]
        assert [each.text for each in told] == [SAID, SAID]


def test_what_is_stored_here_is_translated_and_the_rest_passes() -> None:
    config = dataclasses.replace(LOCAL, responses_store=1 << 20)
    with world((Upstream(*Dialect, chat=True), tuple(Dialect)), config=config) as it:
        create: Any = it.responses.responses.create
        stored = create(model="m", input="hi")
        after = create(model="m", input="hi", store=False, previous_response_id=stored.id)
        passed = create(model="m", input="hi", store=False)
        paths = [each.line.split()[1] for each in it.servers[0].received]
    assert (after.output_text, passed.output_text) == (SAID, SAID)
    assert paths == ["/v1/chat/completions", "/v1/chat/completions", "/v1/responses"]


NATIVE = {each: (Upstream(each), (each,)) for each in Dialect}


@DIALECTS
def test_a_pool_may_be_mixed_and_lose_its_native_server_midway(dialect: Dialect) -> None:
    begun, asked = 3, 16
    script = Upstream(dialect, begun=begun)
    with world((script, (dialect,)), (Upstream(chat=True), ())) as it:
        told = [Told() for _ in range(asked)]
        with ThreadPoolExecutor(asked) as threads:
            waiting = [threads.submit(it.stream, dialect, each) for each in told]
            # Half of them are at the native server; what it began to say has reached its clients.
            eventually(
                lambda: (
                    script.streams == asked // 2
                    and sum(each.first.is_set() for each in told) == asked // 2 + begun
                ),
                "half the streams wait",
            )
            script.kill()
            for each in waiting:
                each.result(30)
        after = [it.stream(dialect) for _ in range(4)]

    cut = [each for each in told if each.error is not None]
    assert len(cut) == begun
    assert {each.text for each in cut} == {"I "}
    assert {each.text for each in told if each.error is None} == {SAID}
    assert [(each.text, each.error) for each in after] == [(SAID, None)] * 4


def test_a_native_response_that_is_cut_fails_under_its_own_id_and_number() -> None:
    script = Upstream(Dialect.RESPONSES, begun=1)
    with world((script, (Dialect.RESPONSES,))) as it, ThreadPoolExecutor(1) as threads:
        told = Told()
        waiting = threads.submit(it.stream, Dialect.RESPONSES, told)
        assert told.first.wait(20)
        script.kill()
        assert waiting.result(20).id == f"resp_{NATIVE_ID}"
    assert isinstance(told.error, RuntimeError)  # no response.completed


@DIALECTS
@pytest.mark.parametrize("stream", [False, True])
def test_a_hedge_may_answer_in_the_other_dialect(dialect: Dialect, *, stream: bool) -> None:
    """Each way: the first of two turns is the silent server's, and the other one answers it."""
    spec = dataclasses.replace(MODEL_SPEC, hedge_after=HedgeAfter(seconds=0.02))
    native, chat = Upstream(dialect), Upstream(chat=True)
    for instances in (
        ((_silent, (dialect,)), (chat, ())),
        ((_silent, ()), (native, (dialect,))),
    ):
        with world(*instances, spec=spec) as it:
            for _ in range(2):
                told = it.stream(dialect) if stream else it.whole(dialect)
                assert (told.text, told.error) == (SAID, None)
                assert told.id.endswith(NATIVE_ID) == (instances[1][0] is native)
            # Whether the silent one had read its request when it was left is chance.
            assert len(it.servers[1].received) == 2


def _silent(line: Line) -> None:
    """A server that takes a request and says nothing."""
    line.hear()
    line.wait_for_hang_up()


UNTRANSLATED: dict[Dialect, dict[str, Any]] = {
    Dialect.RESPONSES: {"background": True},
    Dialect.MESSAGES: {
        "messages": [{
            "role": "user",
            "content": [{"type": "document", "source": {"type": "file", "file_id": "f"}}],
        }]
    },
}  # fmt: skip


@DIALECTS
@pytest.mark.parametrize("stream", [False, True])
def test_what_can_not_be_translated_goes_to_those_who_speak_it(
    dialect: Dialect, *, stream: bool
) -> None:
    body = {**BODIES[dialect], **UNTRANSLATED[dialect], "stream": stream}
    chat, native = (Upstream(chat=True), ()), (Upstream(dialect), (dialect,))
    for instances, status in (((native,), 200), ((chat, native), 200), ((chat,), 400)):
        with world(*instances) as it:
            answered = [it.client.post(dialect.path, body) for _ in range(4)]
            metrics = it.client.get("/metrics").body.decode()
        assert [each.status for each in answered] == [status] * 4
        if status == 200:
            assert all(NATIVE_ID.encode() in each.body for each in answered)
            *_, asked = it.servers[-1].received
            assert json.loads(asked.body) == body
            assert 'state="ejected"} 1.0' not in metrics
        else:
            assert it.servers[0].received == []
            assert 'error_type="validation"' in metrics


@pytest.mark.parametrize("policy", list(PolicyName))
def test_what_can_not_be_translated_needs_no_prompt_to_find_its_instance(
    policy: PolicyName,
) -> None:
    dialect = Dialect.RESPONSES
    body = {**BODIES[dialect], **UNTRANSLATED[dialect]}
    with world((Upstream(dialect), (dialect,)), spec=ModelSpec(policy=policy)) as it:
        assert it.client.post(dialect.path, body).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_said_to_be_dropped_only_where_they_were(*, stream: bool) -> None:
    dialect = Dialect.RESPONSES
    body = {**BODIES[dialect], "stream": stream, "tools": [{"type": "web_search"}]}
    for instance, dropped in (
        ((Upstream(dialect), (dialect,)), None),
        ((Upstream(chat=True), ()), "web_search"),
    ):
        with world(instance) as it:
            answered = it.client.post("/v1/responses", body)
        assert answered.status == 200
        assert answered.headers.get(DROPPED_TOOLS) == dropped


@pytest.mark.parametrize("ending", ["cut", "without an end", "an error"])
def test_a_native_stream_never_looks_complete_by_itself(ending: str) -> None:
    said = HEAD + chunked(PIECE)
    if ending == "without an end":
        said += b"0\r\n\r\n"
    if ending == "an error":
        said += chunked(b'event: error\ndata: {"type":"error","error":{"type":"x"}}\n\n')
    with world((says_once(said), (Dialect.MESSAGES,))) as it:
        events = it.events(Dialect.MESSAGES)
    assert events.startswith(PIECE)
    assert b"message_stop" not in events
    assert events.count(b"event: error\n") == 1
    assert b'"api_error"' in events


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (
            400,
            b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}',
            400,
        ),
        (400, b'{"type":"error","error":{"type":"BadRequestError","message":"too long"}}', 400),
        (404, b'{"detail":"Not Found"}', 502),
        (500, b"<html>", 502),
        (200, b"[]", 502),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_native_refusal_has_the_shape_of_the_clients_dialect(
    status: int, body: bytes, told: int, *, stream: bool
) -> None:
    script = says(answer(status, body, "content-type: application/json"))
    asked = {**BODIES[Dialect.MESSAGES], "stream": stream}
    with world((script, (Dialect.MESSAGES,))) as it:
        reply = it.client.post("/v1/messages", asked)
    assert reply.status == told
    assert reply.json()["type"] == "error"
    assert reply.json()["error"]["message"].endswith("too long") == (told == 400)
