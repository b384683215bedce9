"""WSGI's environment: the same as stock Waitress', but for what a client may say of itself."""

# pyright: basic, reportArgumentType=false
# The reason: see ``http_service.server.waitress_task``.

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.parser import HTTPRequestParser
from waitress.proxy_headers import PROXY_HEADERS, proxy_headers_middleware
from waitress.task import WSGITask

from http_service.api.api_keys import RELAYED
from http_service.connection import KEY
from http_service.server.parser import Parser
from http_service.server.request_head import UNTRUSTED
from http_service.server.waitress_task import fixed_environ, request_environ

CLIENT = ("127.0.0.1", 40_000)
OURS_NOT = {"waitress.client_disconnected", "wsgi.input"}
"""What stock adds of its own, and a file that no other equals."""

REQUESTS = {
    "bare": b"GET / HTTP/1.0\r\n\r\n",
    "query": b"GET /a%20b?x=1&y=%7f HTTP/1.1\r\nhost: h\r\n\r\n",
    "slashes": b"GET //a//b HTTP/1.1\r\nhost: h\r\n\r\n",
    "absolute": b"GET http://h:80/p?q HTTP/1.1\r\nhost: h\r\n\r\n",
    "options": b"OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n",
    "body": b"POST /p HTTP/1.1\r\nhost: h\r\ncontent-type: a/b\r\ncontent-length: 3\r\n\r\nabc",
    "chunks": b"POST /p HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    b"1\r\na\r\n0\r\n\r\n",
    "twice": b"GET / HTTP/1.1\r\nhost: h\r\naccept: a\r\naccept: b\r\nx-y: z\r\n\r\n",
    "proxied": b"GET / HTTP/1.1\r\nhost: h\r\n"
    + b"".join(b"%s: 1.2.3.4\r\n" % name.replace(b"_", b"-") for name in sorted(UNTRUSTED))
    + b"\r\n",
}


def parsed(data: bytes, parser_class: Callable[[Any], Any] = Parser) -> Any:
    parser = parser_class(Adjustments())
    while data:
        data = data[parser.received(data) :]
    assert parser.completed
    assert parser.error is None
    return parser


def stock(data: bytes) -> dict[str, Any]:
    """What an application behind stock Waitress, told to trust no proxy, is given."""
    request = parsed(data, HTTPRequestParser)
    server = SimpleNamespace(adj=Adjustments(ident=None), server_name="name", effective_port=8000)
    channel = SimpleNamespace(addr=CLIENT, server=server, check_client_disconnected=None)
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], _start_response: object) -> list[bytes]:
        seen.update(environ)
        return []

    proxy_headers_middleware(application)(WSGITask(channel, request).get_environment(), None)
    return seen


def fixed() -> dict[str, Any]:
    return fixed_environ("name", 8000, "http", ReadOnlyFileBasedBuffer)


@pytest.mark.parametrize("data", REQUESTS.values(), ids=[*REQUESTS])
def test_an_application_sees_what_it_would_behind_stock_waitress(data: bytes) -> None:
    request = parsed(data)
    connection = object()
    ours = request_environ(fixed(), request, CLIENT, connection)

    assert ours.pop("wsgi.input") is request.get_body_stream() or request.body_rcv is None
    assert ours.pop(KEY) is connection
    expected = stock(data)
    assert ours.pop("wsgi.errors") is sys.stderr
    assert (ours.pop(RELAYED, None) is not None) == (b"FORWARDED" in data)
    assert ours == {
        name: value
        for name, value in expected.items()
        if name not in OURS_NOT and name != "wsgi.errors"
    }


def test_no_client_can_speak_for_a_proxy() -> None:
    assert {name.encode() for name in PROXY_HEADERS} == UNTRUSTED
    environ = request_environ({}, parsed(REQUESTS["proxied"]), CLIENT, None)
    assert not [name for name in environ if "FORWARDED" in name]


def test_what_requests_share_is_never_changed() -> None:
    for data in REQUESTS.values():
        request, shared = parsed(data), fixed()
        before = dict(shared), dict(request.line.environ), dict(request.headers)
        request_environ(shared, request, CLIENT, None)["PATH_INFO"] = "changed"
        assert (shared, request.line.environ, request.headers) == before
