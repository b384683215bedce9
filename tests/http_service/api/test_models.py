"""``GET /v1/models`` and ``GET /v1/models/{model}``."""

from __future__ import annotations

import pytest
from falcon import testing

from http_service import HttpService
from tests.http_service.engines import ScriptEngine


def test_the_models_are_listed_once_each_in_order(service: HttpService) -> None:
    manager = service.model_manager()
    engine = ScriptEngine(lambda _request, sink: sink.finish())
    manager.add_completions_model("only/text", engine)
    manager.add_chat_completions_model("only/chat", engine)

    listed = testing.TestClient(service.app).simulate_get("/v1/models").json

    assert listed["object"] == "list"
    assert [each["id"] for each in listed["data"]] == ["echo", "only/chat", "only/text"]
    assert all(each["object"] == "model" for each in listed["data"])


@pytest.mark.parametrize("name", ["plain", "org/model", "a/b/c", "with space", "ünï"])
def test_a_model_is_found_by_its_name_slashes_included(service: HttpService, name: str) -> None:
    engine = ScriptEngine(lambda _request, sink: sink.finish())
    service.model_manager().add_chat_completions_model(name, engine)
    web = testing.TestClient(service.app)

    assert web.simulate_get(f"/v1/models/{name}").json["id"] == name
    assert web.simulate_get(f"/v1/models/{name}/not").status_code == 404
