"""The table of endpoints: what follows from it, and that nothing is left out."""

from __future__ import annotations

import pytest

from actors.engines.contract import Kind, generates
from actors.engines.upstream.request import parse_url, request_head
from http_service import HttpServiceConfig
from http_service.api.endpoints import ENDPOINTS, LABELS, ApiEndpoint
from http_service.api.routes import ROUTES

each = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.label)


def test_every_kind_of_model_has_an_endpoint() -> None:
    assert {endpoint.kind for endpoint in ENDPOINTS} == {*Kind}


@pytest.mark.parametrize("name", ["path", "operation", "id_prefix"])
def test_no_two_endpoints_share_a_name(name: str) -> None:
    names = [found for endpoint in ENDPOINTS if (found := getattr(endpoint, name))]
    assert len({*names}) == len(names)


def test_a_label_is_of_one_kind() -> None:
    pairs = {(endpoint.label, endpoint.kind) for endpoint in ENDPOINTS}
    assert len(pairs) == len({label for label, _ in pairs})


@each
def test_what_generates_is_streamed_and_has_ids_and_nothing_else_has(endpoint: ApiEndpoint) -> None:
    generating = generates(endpoint.kind)
    assert (endpoint.event is not None, endpoint.id_prefix != "") == (generating, generating)


@each
def test_an_endpoint_is_a_route_with_its_schemas(endpoint: ApiEndpoint) -> None:
    (route,) = [route for route in ROUTES if route.path == endpoint.path]

    assert (route.method, route.name) == ("POST", endpoint.operation)
    assert (route.body, route.result, route.event) == (
        endpoint.body, endpoint.response, endpoint.event,
    )  # fmt: skip
    assert LABELS[route.path] == endpoint.label


@each
def test_the_switch_of_an_endpoint_is_a_setting(endpoint: ApiEndpoint) -> None:
    assert endpoint.enabled == "" or getattr(HttpServiceConfig(), endpoint.enabled) is True


@each
def test_an_upstream_is_asked_on_the_path_of_the_endpoint(endpoint: ApiEndpoint) -> None:
    asked = endpoint.kind.path if endpoint.event else endpoint.path
    head = request_head(parse_url("http://host/v1"), asked, None, stream=False)

    home = next(each for each in ENDPOINTS if each.kind is endpoint.kind)
    path = endpoint.path if endpoint.translate is None else home.path
    assert head.startswith(f"POST {path} HTTP/1.1".encode())
