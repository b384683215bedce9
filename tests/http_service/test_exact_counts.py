"""Counts of tokens by the servers that can, and estimates where none does."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from actors.engines.dialect import Counter, Dialect
from actors.engines.pool import ModelSpec
from tests.engines.raw_server import Line, Received, Script, answer
from tests.http_service.native_upstream import Upstream
from tests.http_service.worlds import MODEL_SPEC, World, world

MESSAGES = "/v1/messages/count_tokens"
RESPONSES = "/v1/responses/input_tokens"
ESTIMATE = "x-callboard-estimate"
BODIES: dict[str, dict[str, Any]] = {
    MESSAGES: {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    RESPONSES: {"model": "m", "input": "hi"},
}
PLACES = {
    Counter.COUNT_TOKENS: "/v1/messages/count_tokens",
    Counter.INPUT_TOKENS: "/v1/chat/completions/input_tokens",
    Counter.TOKENIZE: "/tokenize",
}


def counting(body: bytes = b'{"input_tokens":37}', status: int = 200) -> Script:
    """A server that answers every count so."""

    def script(line: Line) -> None:
        while True:
            line.hear()
            line.say(answer(status, body, "content-type: application/json"))

    return script


def silent(line: Line) -> None:
    """A server that hangs."""
    line.hear()
    line.wait_for_hang_up()


def count(it: World, path: str, **fields: Any) -> tuple[int, bool]:
    """What is counted, and whether it is an estimate."""
    answered = it.client.post(path, {**BODIES[path], **fields})
    assert answered.status == 200, answered.body
    return answered.json()["input_tokens"], ESTIMATE in answered.headers


def last(it: World) -> Received:
    return it.servers[0].received[-1]


@pytest.mark.parametrize(
    ("path", "word", "reply"),
    [
        (MESSAGES, Counter.COUNT_TOKENS, b'{"input_tokens":37}'),
        (MESSAGES, Counter.INPUT_TOKENS, b'{"object":"x","input_tokens":37}'),
        (MESSAGES, Counter.TOKENIZE, b'{"count":37,"max_model_len":9,"tokens":[1]}'),
        (RESPONSES, Counter.INPUT_TOKENS, b'{"object":"x","input_tokens":37}'),
        (RESPONSES, Counter.TOKENIZE, b'{"count":37}'),
    ],
)
def test_a_server_that_counts_is_asked_in_the_way_that_it_speaks(
    path: str, word: Counter, reply: bytes
) -> None:
    with world((counting(reply), (word,))) as it:
        assert count(it, path) == (37, False)
        received = last(it)

    assert received.line.split()[1] == PLACES[word]
    body = json.loads(received.body)
    assert body["model"] == "m"
    assert body["messages"] == [{"role": "user", "content": "hi"}]


def test_a_client_of_messages_is_counted_in_its_own_words() -> None:
    with world((counting(), (Dialect.MESSAGES, Counter.COUNT_TOKENS))) as it:
        raw = b'{"model" : "m", "messages":[{"role":"user","content":"hi"}], "own":1e2}'
        answered = it.client.call("POST", MESSAGES, raw, **{"anthropic-version": "2023-06-01"})
        received = last(it)

    assert answered.json() == {"input_tokens": 37}
    assert (received.body, received.headers["anthropic-version"]) == (raw, "2023-06-01")


def test_an_alias_is_counted_under_the_primary_name() -> None:
    with world((counting(), tuple(Counter))) as it:
        assert count(it, MESSAGES, model="alias") == (37, False)
        assert json.loads(last(it).body)["model"] == "m"


def test_defaults_of_the_model_are_counted_too() -> None:
    spec = ModelSpec(defaults={"tools": [{"type": "function", "function": {"name": "f"}}]})
    with world((counting(), tuple(Counter)), spec=spec) as it:
        assert count(it, RESPONSES) == (37, False)
        assert json.loads(last(it).body)["tools"] == spec.defaults["tools"]  # type: ignore[index]  # it has defaults


@pytest.mark.parametrize(
    "script",
    [
        counting(b"{}"),
        counting(b"<html>"),
        counting(b'{"detail":"Not Found"}', 404),
        counting(b'{"error":{"message":"no"}}', 500),
        silent,
    ],
)
@pytest.mark.parametrize("path", BODIES)
def test_where_the_server_does_not_count_an_estimate_says_that_it_is_one(
    script: Script, path: str
) -> None:
    with world((script, (Counter.INPUT_TOKENS,))) as it:
        tokens, estimated = count(it, path)
        assert estimated
        assert tokens > 0
        # It is not asked again at once: a burst costs one wait.
        assert count(it, path) == (tokens, True)
        assert len(it.servers[0].received) == 1


def test_a_second_instance_counts_where_the_first_one_does_not() -> None:
    broken = counting(b'{"error":{"message":"no"}}', 500)
    with world((broken, (Counter.TOKENIZE,)), (counting(), (Counter.INPUT_TOKENS,))) as it:
        assert count(it, MESSAGES) == (37, False)


def test_nobody_is_asked_where_no_entry_says_that_its_server_counts() -> None:
    with world((Upstream(*Dialect), tuple(Dialect))) as it:
        assert count(it, MESSAGES)[1]
        assert it.servers[0].received == []


def test_counts_take_no_place_of_the_model() -> None:
    """A burst of thirteen, as Claude Code's, while the only place is taken."""
    begun, over = threading.Event(), threading.Event()

    def script(line: Line) -> None:
        while True:
            received = line.hear()
            if received.line.split()[1] == PLACES[Counter.INPUT_TOKENS]:
                line.say(answer(200, b'{"input_tokens":37}'))
            else:
                begun.set()
                over.wait(20)
                line.reset()
                return

    with (
        world((script, (Counter.INPUT_TOKENS,)), max_connections=1) as it,
        ThreadPoolExecutor(14) as threads,
    ):
        threads.submit(it.stream, Dialect.RESPONSES)
        assert begun.wait(20)
        counted = [*threads.map(_count_alone, [it] * 13)]
        over.set()

    assert counted == [(37, False)] * 13


def _count_alone(it: World) -> tuple[int, bool]:
    counted = it.messages.messages.with_raw_response.count_tokens(
        model="m", messages=[{"role": "user", "content": "hi"}]
    )
    return counted.parse().input_tokens, ESTIMATE in counted.headers


def test_the_spec_of_these_tests_has_no_defaults() -> None:
    assert MODEL_SPEC.defaults is None
