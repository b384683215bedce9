"""What ``worker --speaks auto`` makes of a server's answers."""

from __future__ import annotations

import json

import pytest

from actors.cli.model_server import Unanswered
from actors.cli.speaking import dialects_of, way_of
from actors.engines.dialect import Dialect
from tests.engines.raw_server import Line, RawServer, answer

MODELS = b'{"object":"list","data":[{"id":"m","owned_by":"%s"}]}'


PLACES = {
    "/v1/messages": "messages",
    "/v1/responses": "responses",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/chat/completions/input_tokens": "input_tokens",
    "/tokenize": "tokenize",
}
COUNTED = {"count_tokens": b'{"input_tokens":9}', "input_tokens": b'{"input_tokens":9}',
           "tokenize": b'{"count":9}'}  # fmt: skip


class Server:
    """The script of a server with these models that answers each place with its status, or 404."""

    def __init__(self, models: bytes, **statuses: int) -> None:
        self._models = models
        self._statuses = statuses

    def __call__(self, line: Line) -> None:
        received = line.hear()
        method, path, _ = received.line.split()
        if method == "GET":
            line.say(answer(200, self._models))
            return
        place = PLACES[path]
        assert received.headers["content-type"] == "application/json"
        if place in COUNTED:
            question = json.loads(received.body)
            assert (question["model"], len(question["messages"])) == ("m", 1)
        else:
            assert received.body == b"{}"
        line.say(answer(self._statuses.get(place, 404), COUNTED.get(place, b"{}")))


@pytest.mark.parametrize(
    ("owner", "statuses", "spoken"),
    [
        (b"vllm", {"messages": 400, "responses": 422}, ["messages", "responses"]),
        (b"sglang", {"messages": 404, "responses": 400}, ["responses"]),
        (b"library", {"messages": 405, "responses": 501}, []),
        (b"llamacpp", {"messages": 400, "responses": 400, "count_tokens": 200}, []),
        (b"llamacpp", {"input_tokens": 200}, ["input_tokens"]),
        (b"vllm", {"messages": 401, "responses": 403}, []),
        (b"vllm", {"messages": 502, "responses": 500}, []),
        (
            b"vllm",
            {"messages": 400, "count_tokens": 200, "tokenize": 200},
            ["messages", "count_tokens", "tokenize"],
        ),
        (b"vllm", {"count_tokens": 400, "tokenize": 401, "input_tokens": 500}, []),
    ],
)
def test_a_server_speaks_what_it_refuses_to_a_request_without_words_and_counts_what_it_counts(
    owner: bytes, statuses: dict[str, int], spoken: list[str]
) -> None:
    with RawServer(Server(MODELS % owner, **statuses)) as server:
        assert [*dialects_of(server.url)] == spoken
        assert [*dialects_of(server.url.removesuffix("/v1"))] == spoken


def test_a_server_whose_tokenizer_gives_no_count_is_not_asked_for_one() -> None:
    def ask(url: str, _timeout: float, posted: bytes | None) -> tuple[int, bytes]:
        if posted is None:
            return 200, MODELS % b"llamacpp"
        return (200, b'{"tokens":[]}') if url.endswith("/tokenize") else (404, b"")

    assert dialects_of("http://127.0.0.1:1/v1", ask) == ()


@pytest.mark.parametrize("models", [b"[]", b"<html>", b'{"data":[{"id":"m"}]}', b""])
def test_a_list_of_models_that_says_nothing_of_its_server_is_no_hindrance(models: bytes) -> None:
    def ask(url: str, _timeout: float, posted: bytes | None) -> tuple[int, bytes]:
        if posted is None:
            return 200, models
        return (400 if url.endswith("/messages") else 404), b"{}"

    assert dialects_of("http://127.0.0.1:1/v1", ask) == (Dialect.MESSAGES,)


def test_a_server_that_does_not_answer_speaks_nothing() -> None:
    def ask(_url: str, _timeout: float, _posted: bytes | None) -> tuple[int, bytes]:
        raise Unanswered("Connection refused")

    assert dialects_of("http://127.0.0.1:1/v1", ask) == ()


@pytest.mark.parametrize(
    ("models", "way"),
    [
        (MODELS % b"llamacpp", "prefill"),
        (MODELS % b"vllm", "continue_final_message"),
        (MODELS % b"sglang", "continue_final_message"),
        (MODELS % b"library", None),
        (b'{"object":"list","data":[]}', None),
        (b"<html>", None),
    ],
)
def test_how_a_server_goes_on_is_known_by_its_kind(models: bytes, way: str | None) -> None:
    with RawServer(Server(models)) as server:
        assert way_of(server.url) == way


def test_a_server_that_does_not_answer_does_not_say_how_it_goes_on() -> None:
    def silent(_url: str, _timeout: float, _body: bytes | None) -> tuple[int, bytes]:
        raise Unanswered("no answer")

    assert way_of("http://h:1/v1", silent) is None
