"""``GET /v1/models/{model}/instances``: who serves a model, and how they are."""

from __future__ import annotations

import pytest
from falcon import testing

from actors.engines import EngineUnavailable, Kind
from actors.engines.pool import InstanceSpec
from actors.registry import FindPools, PutInstance
from actors.supervision import Address
from http_service import HttpService
from http_service.api.model_list import without_credentials
from tests.engines.pool.fakes import start
from tests.http_service.api.conftest import ASK
from tests.http_service.engines import ScriptEngine
from tests.http_service.serving import error_of


def put(registry: Address, model: str, instance: str, spec: InstanceSpec) -> None:
    engine = ScriptEngine(lambda _request, sink: sink.finish())
    registry.ask(PutInstance(Kind.CHAT, model, instance, engine, spec), timeout=ASK)


@pytest.mark.parametrize("model", ["plain", "org/model", "a/b/c", "instances", "x/instances"])
def test_the_instances_of_a_model_are_listed(
    web: testing.TestClient, registry: Address, model: str
) -> None:
    put(registry, model, "one", InstanceSpec(endpoint="http://10.0.0.7:8000/v1", weight=2.0))
    put(registry, model, "two", InstanceSpec(max_concurrency=4, draining=True, endpoint="b"))
    told = web.simulate_get(f"/v1/models/{model}/instances").json
    assert (told["object"], told["model"]) == ("list", model)
    one, two = told["data"]
    assert one.pop("since") >= 0
    assert one == {
        "id": "one",
        "object": "instance",
        "kind": "chat",
        "endpoint": "http://10.0.0.7:8000/v1",
        "state": "starting",
        "breaker": "closed",
        "inflight": 0,
        "max_concurrency": None,
        "weight": 2.0,
        "share": 0.1,
        "selections": 0,
        "failures": 0,
        "last_error": None,
        "waiting": 0,
    }
    assert (two["id"], two["state"], two["max_concurrency"]) == ("two", "draining", 4)


def test_a_model_whose_own_name_ends_so_is_described(
    web: testing.TestClient, registry: Address
) -> None:
    put(registry, "m", "one", InstanceSpec())
    put(registry, "m/instances", "one", InstanceSpec())
    assert web.simulate_get("/v1/models/m/instances").json["id"] == "m/instances"
    assert web.simulate_get("/v1/models/m").json["id"] == "m"


def test_an_unknown_model_has_no_instances(web: testing.TestClient) -> None:
    result = web.simulate_get("/v1/models/ghost/instances")
    assert result.status_code == 404
    assert error_of(result)["code"] == "model_not_found"


def test_an_engine_of_this_process_is_an_instance_too(service: HttpService) -> None:
    told = testing.TestClient(service.app).simulate_get("/v1/models/echo/instances").json
    assert [(each["id"], each["kind"]) for each in told["data"]] == [
        ("#static", "chat"),
        ("#static", "completions"),
        ("#static", "embeddings"),
    ]


def test_what_went_wrong_last_is_told_by_its_kind_and_not_in_its_words(
    web: testing.TestClient, registry: Address
) -> None:
    error = EngineUnavailable("secret words")
    engine = ScriptEngine(lambda _request, sink: sink.fail(error))
    registry.ask(PutInstance(Kind.CHAT, "m", "one", engine), timeout=ASK)
    (pool,) = registry.ask(FindPools("m"), timeout=ASK)
    start(pool)
    text = web.simulate_get("/v1/models/m/instances").text
    assert '"last_error":"unavailable"' in text
    assert "secret" not in text


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("http://user:pass@host:1/v1", "http://host:1/v1"),
        ("https://host/v1?key=secret#frag", "https://host/v1"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
        ("http://[broken", "unreadable"),
        ("EchoEngine at 0x7f", "EchoEngine at 0x7f"),
    ],
)
def test_an_endpoint_is_shown_without_what_may_be_secret(endpoint: str, shown: str) -> None:
    assert without_credentials(endpoint) == shown
