"""Whether a body is read, by its head: the server's rule is what the application really does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from falcon import testing
from hypothesis import given
from hypothesis import strategies as st

from actors.testing import FakeClock
from http_service import HttpService
from http_service.api.api_keys import KEY_CHECK_SECONDS, ApiKeys
from http_service.api.body_head import check_body_head, reads_body
from http_service.errors import InvalidValue, UnsupportedContentCoding, UnsupportedMediaType
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.serving import eventually

KEY = "sk-first-0123456789"
HEARD = "/v1/audio/transcriptions"
PATHS = frozenset(("/v1/chat/completions", "/v1/completions", HEARD))
GOOD = {"HTTP_AUTHORIZATION": f"Bearer {KEY}", "CONTENT_TYPE": "application/json"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.txt"
    path.write_text(f"{KEY}\n")
    return path


@pytest.fixture
def locked(file: Path) -> Iterator[HttpService]:
    with HttpService(replace(LOCAL, api_key_file=str(file))) as service:
        add_echo(service)
        yield service


def test_the_codings_and_the_timeout_come_from_the_head() -> None:
    assert check_body_head("application/json", None, None) == ((), None)
    assert check_body_head("application/json", "gzip, identity", "2.5") == (("gzip",), 2.5)


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (("text/plain", None, None), UnsupportedMediaType),
        ((None, "gzip", None), UnsupportedMediaType),
        (("application/json", "zstd", None), UnsupportedContentCoding),
        (("application/json", None, "soon"), InvalidValue),
    ],
)
def test_a_head_is_refused_by_what_is_wrong_with_it(
    head: tuple[str | None, str | None, str | None], error: type[Exception]
) -> None:
    with pytest.raises(error):
        check_body_head(*head)


def test_a_form_is_declared_as_one() -> None:
    assert check_body_head("Multipart/form-data", "gzip", "1", form=True) == (("gzip",), 1.0)
    for content_type in ("application/json", "multipart/form-datax", "multipart/mixed", None):
        with pytest.raises(UnsupportedMediaType, match="multipart/form-data"):
            check_body_head(content_type, None, None, form=True)


HEADS: list[tuple[str, str, dict[str, str]]] = [
    ("POST", "/v1/chat/completions", GOOD),
    ("POST", "/v1/completions", {**GOOD, "HTTP_CONTENT_ENCODING": "identity"}),
    ("POST", "/v1/chat/completions", {**GOOD, "HTTP_AUTHORIZATION": "Bearer nobodys-key"}),
    ("POST", "/v1/chat/completions", {"CONTENT_TYPE": "application/json"}),
    ("POST", "/v1/chat/completions", {**GOOD, "CONTENT_TYPE": "text/plain"}),
    ("POST", "/v1/chat/completions", {**GOOD, "HTTP_CONTENT_ENCODING": "br"}),
    ("POST", "/v1/chat/completions", {**GOOD, "HTTP_X_REQUEST_TIMEOUT": "-1"}),
    ("POST", "/v1/completions", {**GOOD, "HTTP_X_PRIORITY": "5"}),
    ("POST", "/v1/completions", {**GOOD, "HTTP_X_PRIORITY": "first"}),
    ("POST", HEARD, {**GOOD, "CONTENT_TYPE": "multipart/form-data; boundary=x"}),
    ("POST", HEARD, {**GOOD, "CONTENT_TYPE": "multipart/mixed; boundary=x"}),
    ("POST", HEARD, GOOD),
    ("POST", "/v1/completions", {**GOOD, "CONTENT_TYPE": "multipart/form-data; boundary=x"}),
    ("POST", "/v1/embeddings", GOOD),
    ("POST", "/", GOOD),
    ("PUT", "/v1/chat/completions", GOOD),
    ("GET", "/v1/chat/completions", GOOD),
    ("DELETE", "/v1/models/echo", GOOD),
    ("POST", "/live", GOOD),
    ("GET", "/live", {}),
    ("GET", "/v1/models", GOOD),
    ("OPTIONS", "/v1/completions", GOOD),
]


@pytest.mark.parametrize(("method", "path", "headers"), HEADS)
def test_a_body_is_read_exactly_where_the_application_reads_it(
    locked: HttpService, file: Path, method: str, path: str, headers: dict[str, str]
) -> None:
    sent = {name.removeprefix("HTTP_").replace("_", "-"): value for name, value in headers.items()}
    web = testing.TestClient(locked.app)
    part = b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--x--'
    bodies = (b'{"model":"echo","messages":[{"role":"user"}],"prompt":"x"}', part)
    with_nothing, *with_a_body = (
        web.simulate_request(method, path, headers=sent, body=body).status_code
        for body in (b"", *bodies)
    )

    read = reads_body(PATHS, ApiKeys(str(file)), method, path, headers, forms=(HEARD,))
    assert read is any(status != with_nothing for status in with_a_body)


@given(st.text(), st.text(), st.dictionaries(st.sampled_from([*GOOD, "X"]), st.text()))
def test_no_head_brings_it_down(method: str, path: str, headers: dict[str, Any]) -> None:
    assert reads_body(PATHS, None, method, path, headers) in (True, False)


def test_an_unknown_key_is_looked_up_again_once_a_second(tmp_path: Path) -> None:
    file, clock = tmp_path / "keys.txt", FakeClock()
    file.write_text(f"{KEY}\n")
    keys = ApiKeys(str(file), clock.monotonic)
    new = {**GOOD, "HTTP_AUTHORIZATION": "Bearer sk-brand-new-key"}

    def read() -> bool | None:
        return reads_body(PATHS, keys, "POST", "/v1/completions", new)

    assert read() is False
    file.write_text("sk-brand-new-key\n")
    clock.advance(KEY_CHECK_SECONDS)
    assert read() is None
    eventually(lambda: read() is True, "the new key is known")
    assert reads_body(PATHS, keys, "POST", "/v1/completions", GOOD) is False
