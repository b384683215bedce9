"""``/live``, ``/ready``, ``/health``, ``/metrics`` and ``/openapi.json``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from falcon import testing

from actors.supervision.cancellation import CancellationToken
from http_service import Component, ComponentStatus, HttpService
from http_service.api.context import check_components
from http_service.api.routes import ROUTES
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.serving import CHAT


class Part:
    """A component whose state a test sets."""

    def __init__(self) -> None:
        self.state = ComponentStatus(ready=True, details={"revision": 7})

    def status(self) -> ComponentStatus:
        """The state as set."""
        return self.state


@pytest.fixture
def part() -> Part:
    return Part()


@pytest.fixture
def service(part: Part) -> Iterator[HttpService]:
    with HttpService(LOCAL, components=[Component("discovery", part.status)]) as made:
        add_echo(made)
        yield made


@pytest.fixture
def web(service: HttpService) -> testing.TestClient:
    return testing.TestClient(service.app)


def test_a_service_whose_parts_are_ready_is_ready(web: testing.TestClient) -> None:
    assert web.simulate_get("/live").json == {"status": "live"}
    assert web.simulate_get("/ready").json == {"status": "ready"}


def test_a_part_that_is_not_ready_is_named_with_its_reason(
    web: testing.TestClient, part: Part
) -> None:
    part.state = ComponentStatus(ready=False, reason="etcd can't be reached")

    result = web.simulate_get("/ready")

    assert result.status_code == 503
    assert result.json == {
        "status": "not_ready",
        "reason": "discovery: etcd can't be reached",
    }
    assert result.headers["retry-after"] == "1"
    assert web.simulate_get("/live").status_code == 200


def test_readiness_returns_when_the_part_does(web: testing.TestClient, part: Part) -> None:
    part.state = ComponentStatus(ready=False)
    assert web.simulate_get("/ready").status_code == 503

    part.state = ComponentStatus(ready=True)
    assert web.simulate_get("/ready").status_code == 200


def test_a_part_that_is_not_ready_stops_no_request(web: testing.TestClient, part: Part) -> None:
    part.state = ComponentStatus(ready=False)

    assert web.simulate_post("/v1/chat/completions", json=CHAT).status_code == 200


def test_health_tells_every_part(web: testing.TestClient) -> None:
    assert web.simulate_get("/health").json == {
        "status": "healthy",
        "reason": None,
        "models": ["echo"],
        "inflight_requests": 0,
        "components": {"discovery": {"ready": True, "reason": None, "revision": 7}},
    }


def test_health_agrees_with_readiness(web: testing.TestClient, part: Part) -> None:
    part.state = ComponentStatus(ready=False, reason="stale")

    result = web.simulate_get("/health")

    assert result.status_code == 503
    assert result.json["reason"] == "discovery: stale"
    assert result.headers["retry-after"] == "1"


def test_a_part_that_cannot_tell_is_not_ready_and_leaks_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken() -> ComponentStatus:
        raise RuntimeError("/srv/secret")

    status = check_components([Component("broken", broken)])["broken"]

    assert not status.ready
    assert "secret" not in (status.reason or "")
    assert "secret" in caplog.text


def test_readiness_turns_as_soon_as_the_token_is_cancelled(
    service: HttpService, web: testing.TestClient
) -> None:
    token = CancellationToken()
    service.child(token)
    assert web.simulate_get("/ready").status_code == 200

    token.cancel()

    assert web.simulate_get("/ready").json["reason"] == "the service is shutting down"
    assert web.simulate_get("/live").status_code == 200
    # What comes on a connection that is open is served until the drain is over (see test_drain).
    assert web.simulate_post("/v1/chat/completions", json=CHAT).status_code == 200
    assert web.simulate_get("/v1/models").status_code == 200


def test_metrics_are_exposed_for_prometheus(web: testing.TestClient) -> None:
    web.simulate_post("/v1/chat/completions", json=CHAT)

    result = web.simulate_get("/metrics")

    assert result.headers["content-type"].startswith("text/plain")
    assert 'callboard_frontend_inflight_requests{model="echo"} 0.0' in result.text
    assert 'callboard_frontend_output_tokens_total{model="echo"} 2.0' in result.text


def test_the_document_describes_exactly_the_routes(web: testing.TestClient) -> None:
    document = web.simulate_get("/openapi.json").json

    told = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert told == {(each.path.replace(":path", ""), each.method) for each in ROUTES}
    names = [item["operationId"] for path in document["paths"].values() for item in path.values()]
    assert len(set(names)) == len(names)


def test_the_documents_schemas_are_those_that_validate(web: testing.TestClient) -> None:
    schemas = web.simulate_get("/openapi.json").json["components"]["schemas"]

    assert schemas["ChatRequest"]["required"] == ["model", "messages"]
    assert schemas["ChatRequest"]["properties"]["temperature"]["anyOf"][0] == {"type": "number"}
    assert schemas["CompletionRequest"]["required"] == ["model"]
    assert schemas["Error"]["required"] == ["error"]


def test_every_reference_in_the_document_leads_somewhere(web: testing.TestClient) -> None:
    result = web.simulate_get("/openapi.json")
    schemas = result.json["components"]["schemas"]

    references = {part.split('"')[0] for part in result.text.split('"#/components/schemas/')[1:]}

    assert references
    assert references <= set(schemas)
