"""A model asked by an alias, or by the name of one that is away, answers under its own name."""

from __future__ import annotations

from falcon import testing

from actors.engines import EchoEngine, Kind
from actors.engines.pool import ModelSpec
from actors.registry import DropInstance, PutInstance
from actors.supervision import Address
from tests.http_service.api.conftest import ASK


def put(registry: Address, model: str, spec: ModelSpec) -> None:
    registry.ask(PutInstance(Kind.CHAT, model, "1", EchoEngine(), model_spec=spec), timeout=ASK)


def ask(web: testing.TestClient, model: str) -> testing.Result:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    return web.simulate_post("/v1/chat/completions", json=body)


def counted(web: testing.TestClient) -> set[str]:
    lines = web.simulate_get("/metrics").text.splitlines()
    return {
        line.split('model="')[1].split('"')[0]
        for line in lines
        if line.startswith("callboard_frontend_requests_total{")
    }


def test_an_alias_is_answered_and_counted_under_the_primary_name(
    web: testing.TestClient, registry: Address
) -> None:
    put(registry, "primary", ModelSpec(aliases=("gpt-4o",)))
    result = ask(web, "gpt-4o")
    assert (result.status_code, result.json["model"]) == (200, "primary")
    assert counted(web) == {"primary"}
    assert web.simulate_get("/v1/models/gpt-4o").status_code == 200
    listed = web.simulate_get("/v1/models").json["data"]
    assert [each["id"] for each in listed] == ["primary"]


def test_a_model_that_is_away_is_answered_by_its_fallback(
    web: testing.TestClient, registry: Address
) -> None:
    put(registry, "big", ModelSpec(fallback="small"))
    put(registry, "small", ModelSpec())
    assert ask(web, "big").json["model"] == "big"
    registry.ask(DropInstance(Kind.CHAT, "big", "1"), timeout=ASK)
    assert ask(web, "big").json["model"] == "small"
    assert ask(web, "unheard-of").status_code == 404
