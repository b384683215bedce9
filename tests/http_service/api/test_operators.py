"""Where things run is shown to operators only; how they are is shown to every client."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from falcon import testing

from actors.engines import Kind
from actors.engines.pool import InstanceSpec
from actors.registry import PutInstance
from actors.supervision import Address
from http_service import Component, ComponentStatus, HttpService, HttpServiceConfig, ModelManager
from http_service.api.api_keys import ApiKeys, Operators
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.engines import ScriptEngine
from tests.http_service.serving import Client, RawClient, post_bytes, running

CLIENT = "sk-client-0123456789"
OPERATOR = "sk-operator-0123456789"
URL = "http://10.0.0.7:8000/v1"
ENTRY = "/models/chat/m#gpu-7.internal"
ASK = 5.0

SECRETS = ("10.0.0.7", "gpu-7.internal")
"""What tells where things run."""


@pytest.fixture
def config(tmp_path: Path) -> HttpServiceConfig:
    """Both files of keys."""
    (tmp_path / "keys").write_text(CLIENT)
    (tmp_path / "operators").write_text(OPERATOR)
    return replace(
        LOCAL,
        api_key_file=str(tmp_path / "keys"),
        operator_key_file=str(tmp_path / "operators"),
    )


@pytest.fixture
def known(registry: Address) -> Address:
    """A registry that knows where the model "m" runs."""
    engine = ScriptEngine(lambda _request, sink: sink.finish())
    spec = InstanceSpec(endpoint=URL)
    registry.ask(PutInstance(Kind.CHAT, "m", "one", engine, spec), timeout=ASK)
    return registry


def discovery() -> ComponentStatus:
    """A component that knows where things run."""
    return ComponentStatus(
        ready=True,
        details={"quarantined_count": 1},
        for_operators={"quarantined": {ENTRY: "its URL has no host"}},
    )


def everything_told(known: Address, config: HttpServiceConfig, **request: Any) -> str:
    """The answers that have something to hide, to one request with these headers and address."""
    parts = [Component("discovery", discovery)]
    with ModelManager(known) as manager, HttpService(config, manager, parts) as service:
        web = testing.TestClient(service.app)
        answers = [
            web.simulate_get(path, **request)
            for path in ("/v1/models/m/instances", "/health", "/ready", "/v1/models/m")
        ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert answers[0].json["data"][0]["state"] == "starting"
    assert answers[1].json["components"]["discovery"]["quarantined_count"] == 1
    return "".join(answer.text for answer in answers)


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def test_an_operators_key_sees_where_things_run(known: Address, config: HttpServiceConfig) -> None:
    told = everything_told(known, config, headers=bearer(OPERATOR))
    assert all(secret in told for secret in SECRETS)


@pytest.mark.parametrize("alone", [False, True], ids=["both files", "the clients' alone"])
def test_a_clients_key_sees_how_things_are_and_not_where(
    known: Address, config: HttpServiceConfig, alone: bool
) -> None:
    config = replace(config, operator_key_file="") if alone else config
    told = everything_told(known, config, headers=bearer(CLIENT))
    assert not any(secret in told for secret in SECRETS)


def test_with_operators_keys_alone_everybody_is_a_client(
    known: Address, config: HttpServiceConfig
) -> None:
    config = replace(config, api_key_file="")
    told = everything_told(known, config)
    assert not any(secret in told for secret in SECRETS)
    told = everything_told(known, config, headers=bearer(OPERATOR))
    assert all(secret in told for secret in SECRETS)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", None])
def test_without_keys_who_asks_from_this_machine_or_process_is_an_operator(
    known: Address, address: str | None
) -> None:
    told = everything_told(known, LOCAL, remote_addr=address)
    assert all(secret in told for secret in SECRETS)


@pytest.mark.parametrize("address", ["10.0.0.9", "192.168.1.4", "fe80::1%eth0", "2001:db8::1", ""])
def test_without_keys_nobody_else_is(address: str) -> None:
    assert not Operators().include({"REMOTE_ADDR": address})


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "via", "x-real-ip"])
def test_without_keys_who_comes_through_a_proxy_on_this_machine_is_not(
    known: Address, header: str
) -> None:
    told = everything_told(known, LOCAL, headers={header: "203.0.113.7"})
    assert not any(secret in told for secret in SECRETS)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Forwarded-Proto"])
def test_our_own_server_notices_the_proxy_as_well(known: Address, header: str) -> None:
    with (
        ModelManager(known) as manager,
        HttpService(LOCAL, manager) as service,
        running(service) as live,
    ):
        client = Client(live.address)
        path = "/v1/models/m/instances"
        assert b"10.0.0.7" in client.get(path).body
        assert b"10.0.0.7" not in client.call("GET", path, **{header: "for=10.1.1.1"}).body
        client.close()


def test_an_operators_key_is_let_in_where_clients_keys_are_asked_for(
    config: HttpServiceConfig,
) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    with HttpService(config) as service:
        add_echo(service)
        with running(service) as live, RawClient(live.address) as raw:
            for key, status in ((OPERATOR, 200), (CLIENT, 200)):
                header = f"Authorization: Bearer {key}"
                raw.send(post_bytes("/v1/chat/completions", body, header))
                assert raw.read_answer().status == status


def test_a_revoked_operators_key_sees_nothing(tmp_path: Path) -> None:
    path = tmp_path / "operators"
    path.write_text(OPERATOR)
    now = [0.0]
    operators = Operators(None, ApiKeys(str(path), lambda: now[0], setting="operator_key_file"))
    environ = {"HTTP_AUTHORIZATION": f"Bearer {OPERATOR}", "REMOTE_ADDR": "127.0.0.1"}
    assert operators.include(environ)

    path.write_text(CLIENT)
    now[0] += 1.0
    assert not operators.include(environ)


def test_a_bad_file_of_operators_is_refused_at_the_start_and_shown_later(
    config: HttpServiceConfig,
) -> None:
    with HttpService(config) as service:
        web = testing.TestClient(service.app)
        parts = web.simulate_get("/health", headers=bearer(OPERATOR)).json["components"]
        assert parts.keys() >= {"api_keys", "operator_keys"}
    Path(config.operator_key_file).write_text("short\n")
    with pytest.raises(ValueError, match=r"operator_key_file is .*fewer than"):
        HttpService(config)
