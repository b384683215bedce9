"""API keys: who is let in, and what a stranger is told."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import openai
import pytest
from falcon import testing
from hypothesis import given
from hypothesis import strategies as st

from actors.testing import FakeClock
from http_service import ConfigError, HttpService
from http_service.api.api_keys import KEY_CHECK_SECONDS, OPEN_PATHS, ApiKeys, Role, digests_of
from http_service.api.routes import ROUTES
from tests.http_service.api.conftest import BROKEN, KEY, OTHER, ask
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.serving import (
    CHAT,
    RawClient,
    Running,
    error_of,
)


def test_a_key_of_the_file_is_let_in(locked: HttpService) -> None:
    assert ask(locked, "/v1/models", Authorization=f"Bearer {KEY}").status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_written_in_any_case(locked: HttpService, scheme: str) -> None:
    assert ask(locked, "/v1/models", Authorization=f"{scheme} {KEY} ").status_code == 200


@pytest.mark.parametrize(
    "authorization",
    ["", KEY, f"Basic {KEY}", "Bearer", "Bearer ", f"Bearer {OTHER}", f"Bearer {KEY}x", "Bearer é"],
)
def test_any_other_authorization_is_refused(locked: HttpService, authorization: str) -> None:
    result = ask(locked, "/v1/models", Authorization=authorization)

    error = error_of(result)
    assert result.status_code == 401
    assert error["code"] == "invalid_api_key"
    assert error["type"] == "authentication_error"
    assert result.headers["www-authenticate"] == "Bearer"
    assert KEY not in result.text
    assert OTHER not in result.text


def test_without_a_key_the_error_says_where_to_put_one(locked: HttpService) -> None:
    assert "Authorization: Bearer" in error_of(ask(locked, "/v1/models"))["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/nothing", "/openapi.json", "/live/x"])
def test_a_stranger_learns_nothing_of_the_routes(locked: HttpService, path: str) -> None:
    assert ask(locked, path).status_code == 401


def test_the_key_is_checked_before_anything_of_the_body(locked: HttpService) -> None:
    result = testing.TestClient(locked.app).simulate_post(
        "/v1/chat/completions", body=b"{", headers={"content-type": "text/plain"}
    )

    assert result.status_code == 401


@pytest.mark.parametrize("path", sorted(OPEN_PATHS))
def test_probes_and_metrics_need_a_key_only_if_told_so(file: Path, path: str) -> None:
    closed = replace(LOCAL, api_key_file=str(file), open_probes=False)
    for config, without in ((replace(closed, open_probes=True), 200), (closed, 401)):
        with HttpService(config) as service:
            add_echo(service)
            assert ask(service, path).status_code == without
            assert ask(service, path, Authorization=f"Bearer {KEY}").status_code == 200


def test_every_path_that_is_open_is_a_route() -> None:
    assert {route.path for route in ROUTES} >= OPEN_PATHS


def test_without_a_file_everybody_is_let_in(service: HttpService) -> None:
    assert ask(service, "/v1/models").status_code == 200


def test_the_real_client_gets_its_own_error(locked_live: Running) -> None:
    url = f"{locked_live.service.url}/v1"
    with openai.OpenAI(base_url=url, api_key=OTHER, max_retries=0, timeout=10) as sdk:
        with pytest.raises(openai.AuthenticationError) as caught:
            sdk.chat.completions.create(**CHAT)
        assert caught.value.code == "invalid_api_key"
        with pytest.raises(openai.AuthenticationError):
            sdk.chat.completions.create(**CHAT, stream=True)
        assert [each.id for each in sdk.with_options(api_key=KEY).models.list()] == ["echo"]


def test_a_refusal_leaves_the_connection_usable(locked_live: Running) -> None:
    with RawClient(locked_live.address) as raw:
        raw.send(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.read_answer().status == 401
        raw.send(
            f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
        )
        assert raw.read_answer().status == 200


def test_no_key_is_ever_logged(
    locked: HttpService, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clock = FakeClock()
    keys = ApiKeys(str(file), clock.monotonic)
    for header in (f"Bearer {KEY}", f"Bearer {OTHER}"):
        ask(locked, "/v1/models", Authorization=header)
        ask(locked, "/nothing", Authorization=header)
    for text in (f"{OTHER}\n", f"{OTHER} {KEY}\n"):
        file.write_text(text)
        clock.advance(KEY_CHECK_SECONDS)
        keys.allow(None)

    told = [str(record.__dict__) for record in caplog.records]
    assert told
    assert not [line for line in told if KEY in line or OTHER in line]


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN.keys())
def test_a_service_that_should_be_locked_never_starts_open(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"^api_key_file is '.*keys', which "):
        HttpService(replace(LOCAL, api_key_file=str(path)))


def test_windows_line_ends_and_blanks_around_a_key_do_not_count() -> None:
    assert digests_of(f"  {KEY}\t\r\n{OTHER}".encode()) == digests_of(f"{KEY}\n{OTHER}\n".encode())


@given(
    st.lists(
        st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8).filter(
            lambda key: not key.startswith("#")
        ),
        min_size=1,
    )
)
def test_each_key_of_a_file_counts_once(keys: list[str]) -> None:
    assert len(digests_of("\n".join(keys).encode())) == len(set(keys))


def test_a_line_of_the_operators_file_may_say_whose_key_it_is() -> None:
    text = f"{KEY}\nviewer ada {OTHER}\noperator grace third-key-3\n".encode()
    found = [(each.name, each.role) for each in digests_of(text, roles=True).values()]
    assert found == [
        ("the key in line 1", Role.OPERATOR),
        ("ada", Role.VIEWER),
        ("grace", Role.OPERATOR),
    ]


@pytest.mark.parametrize(
    "line", ["viewer ada", "viewer ada short", "owner ada long-enough", "viewer a b long-enough"]
)
def test_a_line_that_says_it_otherwise_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="in line 1"):
        digests_of(line.encode(), roles=True)


def test_a_clients_file_has_keys_alone() -> None:
    with pytest.raises(ValueError, match="blank"):
        digests_of(f"viewer ada {KEY}".encode())
    assert [each.role for each in digests_of(KEY.encode()).values()] == [Role.VIEWER]
