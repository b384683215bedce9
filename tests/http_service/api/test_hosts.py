"""Whom a service on the loopback address answers: this machine, by its own names."""

from __future__ import annotations

from dataclasses import replace

import pytest
from falcon import testing

from actors.service import Service
from actors.settings.serve import ServeSettings
from actors.supervision import CancellationToken
from http_service import HttpService
from http_service.api.hosts import Hosts
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.serving import CHAT, error_of


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LocalHost:8787",
        "localhost.",
        "app.localhost:80",
        "127.0.0.1:8787",
        "127.9.8.7",
        "[::1]",
        "[::1]:8787",
        "[::ffff:127.0.0.1]:1",
        "chat.example.org",
        "CHAT.example.org:443",
        None,
    ],
)
def test_this_machine_and_the_names_given_are_answered(host: str | None) -> None:
    assert Hosts(("chat.example.org",)).allow(host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8787",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil-localhost",
        "10.0.0.1",
        "[fe80::1]:80",
        "0.0.0.0",
        "",
        "127.0.0.1@evil.example",
    ],
)
def test_another_name_is_not(host: str) -> None:
    assert not Hosts(("chat.example.org",)).allow(host)


@pytest.mark.parametrize(("names", "status"), [((), 200), (("*",), 200), (("ours",), 421)])
def test_a_request_for_another_host_is_a_421(names: tuple[str, ...], status: int) -> None:
    with HttpService(replace(LOCAL, allowed_hosts=names)) as service:
        add_echo(service)
        headers = {"host": "evil.example"}
        result = testing.TestClient(service.app).simulate_post(
            "/v1/chat/completions", json=CHAT, headers=headers
        )
    assert result.status_code == status
    if status == 421:
        assert error_of(result)["code"] == "misdirected_request"
        assert "--allowed-hosts" in error_of(result)["message"]


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (ServeSettings(host="127.0.0.1", port=0), ("127.0.0.1",)),
        (ServeSettings(host="localhost", port=0), ("localhost",)),
        (ServeSettings(host="0.0.0.0", port=0), ()),
        (ServeSettings(host="0.0.0.0", port=0, allowed_hosts=("a", "b")), ("a", "b")),
        (ServeSettings(host="127.0.0.1", port=0, allowed_hosts=("*",)), ("*",)),
    ],
)  # fmt: skip
def test_the_command_line_looks_at_the_host_where_it_listens_on_this_machine_only(
    settings: ServeSettings, names: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    service = Service.start(replace(settings, console="off"), CancellationToken())
    service.stop()
    assert service.http.config.allowed_hosts == names
    warned = [each for each in caplog.messages if "--api-key-file" in each]
    assert len(warned) == (settings.host == "0.0.0.0")
