"""Endpoints that are only relayed: byte for byte both ways, to the same path of the server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import openai
import pytest

from actors.engines.contract import Kind
from actors.engines.upstream import UpstreamEngine
from http_service import HttpService
from http_service.api.endpoints import ApiEndpoint
from http_service.api.endpoints.relayed import ENDPOINTS
from tests.engines.raw_server import Line, RawServer, answer
from tests.http_service.serving import Client, Running

each = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
RAW = b'{"query":"q" , "model":"up","documents":["a",{"text":"b"}],"own":1e2}'


class Worker(RawServer):
    """Answers every request with ``status`` and ``told``."""

    def __init__(self) -> None:
        super().__init__(self._talk)
        self.status = 200
        self.told = b'{"results":[ {"index":0,"relevance_score":0.50} ]}'

    def _talk(self, line: Line) -> None:
        while True:
            line.hear()
            line.say(answer(self.status, self.told, "content-type: application/json"))


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker() as server:
        yield server


@pytest.fixture
def relay(worker: Worker, service: HttpService, live: Running) -> Iterator[Client]:
    """A client of a service whose model "up" is ``worker``, for every endpoint here."""
    engine = UpstreamEngine(worker.url)
    for kind in dict.fromkeys(endpoint.kind for endpoint in ENDPOINTS):
        service.model_manager().add_model(kind, "up", engine)
    client = Client(live.address)
    yield client
    client.close()
    engine.close()


@each
def test_body_and_answer_pass_as_they_came(
    relay: Client, worker: Worker, endpoint: ApiEndpoint
) -> None:
    for told in (worker.told, b' [{"score":1.50}]', b'{"detail":[],"data":[{"label":null}]}'):
        worker.told = told
        answered = relay.call("POST", endpoint.path, RAW)

        assert (answered.status, answered.body) == (200, told)
        assert answered.headers["content-type"] == "application/json"
        assert worker.received[-1].body == RAW
        assert worker.received[-1].line.startswith(f"POST {endpoint.path} ")


def test_a_server_below_another_path_is_asked_there(
    worker: Worker, service: HttpService, client: Client
) -> None:
    engine = UpstreamEngine(worker.url.replace("/v1", "/gpu/3"), model="theirs")
    service.model_manager().add_model(Kind.SCORE, "up", engine)
    for path, asked in (("/v1/score", "/gpu/3/score"), ("/score", "/gpu/3/score")):
        assert client.call("POST", path, RAW).status == 200
        assert worker.received[-1].line.startswith(f"POST {asked} ")
        assert json.loads(worker.received[-1].body)["model"] == "theirs"
    engine.close()


@each
def test_openais_client_asks_paths_that_it_has_no_method_for(
    relay: Client, worker: Worker, live: Running, endpoint: ApiEndpoint
) -> None:
    with openai.OpenAI(base_url=live.service.url, api_key="k", max_retries=0) as sdk:
        told = sdk.post(endpoint.path, body=json.loads(RAW), cast_to=object)
    assert told == json.loads(worker.told)
    assert relay.get("/ready").status == 200


@each
def test_an_unknown_model_is_a_404(relay: Client, endpoint: ApiEndpoint) -> None:
    refused = relay.post(endpoint.path, {"model": "ghost"})
    assert (refused.status, refused.error["code"]) == (404, "model_not_found")


@each
def test_without_a_model_it_is_a_400(relay: Client, endpoint: ApiEndpoint) -> None:
    refused = relay.post(endpoint.path, {"query": "q"})
    assert (refused.status, refused.error["param"]) == (400, "model")


def test_a_refusal_of_the_server_is_passed_on(relay: Client, worker: Worker) -> None:
    worker.status, worker.told = 400, b'{"error":{"message":"no query","code":400}}'
    refused = relay.call("POST", "/v1/rerank", RAW)
    assert (refused.status, refused.error["message"]) == (400, "no query")


def test_what_a_chat_model_is_asked_here_is_a_404(client: Client) -> None:
    assert client.post("/tokenize", {"model": "echo", "prompt": "x"}).status == 404
