"""Falcon's requests and responses with less work: the same, or Falcon's own."""

from __future__ import annotations

import io
import logging
from typing import Any

import falcon
import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service import HttpService
from http_service.api import falcon_parts
from http_service.api.falcon_parts import LeanRequest, LeanResponse, Request, Response, differences
from http_service.headers import ID_HEADER
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.serving import RawClient, running

TOLD = (
    "content_type",
    "method",
    "params",
    "path",
    "query_string",
    "relative_uri",
    "uri_template",
    "is_websocket",
    "headers",
)


def environ(path: str, query: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SCRIPT_NAME": "",
        "HTTP_X_A": "b",
        "wsgi.input": io.BytesIO(b"body"),
        "wsgi.errors": io.StringIO(),
    }


def test_this_is_the_falcon_that_we_know() -> None:
    assert differences() == []
    assert falcon_parts.types() == (LeanRequest, LeanResponse)


@given(st.text(st.characters(max_codepoint=255), max_size=8), st.sampled_from(("", "a=b&a=c", "?")))
def test_any_request_is_what_falcon_makes_of_it(path: str, query: str) -> None:
    options = falcon.RequestOptions()
    options.strip_url_path_trailing_slash = True
    stock = falcon.Request(environ(path, query), options)
    ours = LeanRequest(environ(path, query), options)

    assert [getattr(ours, name) for name in TOLD] == [getattr(stock, name) for name in TOLD]
    assert ours.bounded_stream.read() == stock.bounded_stream.read()
    assert (ours.context.call, ours.context.request_id) == (None, "")


def test_what_a_response_is_given_is_its_own() -> None:
    options = falcon.ResponseOptions()
    first, second = LeanResponse(options), LeanResponse(options)
    first.text = "text"
    first.media = {"a": 1}
    first.set_header("X-A", "b")
    first.set_cookie("c", "d")
    assert first.fields is not None
    first.fields["x-e"] = "f"

    assert (second.text, second.media, second.headers) == (None, None, {})
    assert (first.get_header("x-a"), first.get_header("X-E")) == ("b", "f")
    assert first.render_body() == b"text"


def changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Falcon make a request with an attribute that we do not know."""
    stock = falcon.Request.__init__

    def other(self: Any, env: dict[str, Any], options: Any = None) -> None:
        stock(self, env, options)
        self.novelty = 1

    monkeypatch.setattr(falcon.Request, "__init__", other)


def test_with_another_falcon_its_own_are_used_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    changed(monkeypatch)

    with caplog.at_level(logging.WARNING):
        assert falcon_parts.types() == (Request, Response)
    assert differences() == ["Request.novelty"]
    assert "falcon is not as we know it" in caplog.text


def test_a_falcon_that_makes_none_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: object, _env: object, _options: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(falcon.Request, "__init__", broken)

    assert differences() == ["falcon makes no request as we know it: KeyError: 'x'"]


def test_a_service_on_another_falcon_answers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    changed(monkeypatch)
    with HttpService(LOCAL) as service:
        add_echo(service)
        with running(service) as live:
            with RawClient(live.address) as raw:
                raw.send(
                    f"GET /v1/models HTTP/1.1\r\nHost: h\r\n{ID_HEADER}: mine\r\n\r\n".encode()
                )
                answer = raw.read_answer()
            assert answer.status == 200
            assert answer.headers[ID_HEADER] == "mine"
