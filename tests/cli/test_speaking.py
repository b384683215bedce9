"""What ``worker --speaks auto`` makes of a server's answers."""

from __future__ import annotations

import pytest

from actors.cli.model_server import Unanswered
from actors.cli.speaking import dialects_of
from actors.engines.dialect import Dialect
from tests.engines.raw_server import Line, RawServer, answer

MODELS = b'{"object":"list","data":[{"id":"m","owned_by":"%s"}]}'


class Server:
    """The script of a server with these models that answers each path with its status."""

    def __init__(self, models: bytes, **statuses: int) -> None:
        self._models = models
        self._statuses = statuses

    def __call__(self, line: Line) -> None:
        received = line.hear()
        method, path, _ = received.line.split()
        if method == "GET":
            line.say(answer(200, self._models))
        else:
            assert (received.body, received.headers["content-type"]) == (b"{}", "application/json")
            line.say(answer(self._statuses[path.rpartition("/")[2]], b"{}"))


@pytest.mark.parametrize(
    ("owner", "messages", "responses", "spoken"),
    [
        (b"vllm", 400, 422, ["messages", "responses"]),
        (b"sglang", 404, 400, ["responses"]),
        (b"library", 405, 501, []),
        (b"llamacpp", 400, 400, ["messages"]),
        (b"vllm", 401, 403, []),
        (b"vllm", 502, 500, []),
    ],
)
def test_a_server_speaks_what_it_refuses_a_request_without_words_for(
    owner: bytes, messages: int, responses: int, spoken: list[str]
) -> None:
    script = Server(MODELS % owner, messages=messages, responses=responses)
    with RawServer(script) as server:
        assert [*dialects_of(server.url)] == spoken
        assert [*dialects_of(server.url.removesuffix("/v1"))] == spoken


@pytest.mark.parametrize("models", [b"[]", b"<html>", b'{"data":[{"id":"m"}]}', b""])
def test_a_list_of_models_that_says_nothing_of_its_server_is_no_hindrance(models: bytes) -> None:
    with RawServer(Server(models, messages=400, responses=404)) as server:
        assert dialects_of(server.url) == (Dialect.MESSAGES,)


def test_a_server_that_does_not_answer_speaks_nothing() -> None:
    def ask(_url: str, _timeout: float, _posted: bytes | None) -> tuple[int, bytes]:
        raise Unanswered("Connection refused")

    assert dialects_of("http://127.0.0.1:1/v1", ask) == ()
