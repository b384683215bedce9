"""WSGI's environment: the same as stock Waitress', but for what a client may say of itself."""

# pyright: basic, reportArgumentType=false
# The reason: see ``http_service.server.task``.

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.proxy_headers import PROXY_HEADERS, proxy_headers_middleware
from waitress.task import WSGITask

from http_service.api.api_keys import RELAYED
from http_service.server.environ import UNTRUSTED, fixed_part, request_part
from http_service.server.parser import Parser

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
    + b"".join(b"%s: 1.2.3.4\r\n" % name.replace("_", "-").encode() for name in sorted(UNTRUSTED))
    + b"\r\n",
}


def parsed(data: bytes) -> Parser:
    parser = Parser(Adjustments())
    while data:
        data = data[parser.received(data) :]
    assert parser.completed
    assert parser.error is None
    return parser


def stock(request: Parser) -> dict[str, Any]:
    """What an application behind stock Waitress, told to trust no proxy, is given."""
    server = SimpleNamespace(adj=Adjustments(ident=None), server_name="name", effective_port=8000)
    channel = SimpleNamespace(addr=CLIENT, server=server, check_client_disconnected=None)
    seen: dict[str, Any] = {}

    def application(environ: dict[str, Any], _start_response: object) -> list[bytes]:
        seen.update(environ)
        return []

    proxy_headers_middleware(application)(WSGITask(channel, request).get_environment(), None)
    return seen


@pytest.mark.parametrize("data", REQUESTS.values(), ids=[*REQUESTS])
def test_an_application_sees_what_it_would_behind_stock_waitress(data: bytes) -> None:
    request = parsed(data)
    fixed = fixed_part("name", 8000, ReadOnlyFileBasedBuffer)
    ours = request_part(fixed, request, CLIENT, request.version)

    assert ours.pop("wsgi.input") is request.get_body_stream() or request.body_rcv is None
    expected = stock(request)
    assert ours.pop("wsgi.errors") is sys.stderr
    assert (RELAYED in ours) == any(name in request.headers for name in UNTRUSTED)
    ours.pop(RELAYED, None)
    assert ours == {
        name: value
        for name, value in expected.items()
        if name not in OURS_NOT and name != "wsgi.errors"
    }


def test_no_client_can_speak_for_a_proxy() -> None:
    assert PROXY_HEADERS == UNTRUSTED
    environ = request_part({}, parsed(REQUESTS["proxied"]), CLIENT, "1.1")
    assert not [name for name in environ if "FORWARDED" in name]


def test_the_fixed_part_is_never_changed() -> None:
    fixed = fixed_part("name", 8000, ReadOnlyFileBasedBuffer)
    before = dict(fixed)
    request_part(fixed, parsed(REQUESTS["body"]), CLIENT, "1.1")
    assert fixed == before
