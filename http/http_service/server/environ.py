"""WSGI's environment of a request, made in one go (PEP 3333).

PERF: Waitress makes all of it anew each time, and has a middleware take the proxies' headers out
again; here what never changes is copied, and those headers are never put in.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final, Protocol

from http_service.api.api_keys import RELAYED

__all__ = ["UNTRUSTED", "Asked", "fixed_part", "request_part"]

UNTRUSTED: Final = frozenset(
    (
        "FORWARDED",
        "X_FORWARDED_BY",
        "X_FORWARDED_FOR",
        "X_FORWARDED_HOST",
        "X_FORWARDED_PORT",
        "X_FORWARDED_PROTO",
    )
)
"""SECURITY: what a proxy says of a client, and any client can say of itself."""


class Asked(Protocol):
    """What is read of a request (``Parser`` has it); header names are ``LIKE_THIS``."""

    headers: dict[str, str]
    command: str
    path: str
    query: str
    request_uri: str
    url_scheme: str

    body: bytes
    body_rcv: object

    def get_body_stream(self) -> Any:
        """The body, as a file."""
        ...


def fixed_part(server_name: str, server_port: int, file_wrapper: type) -> dict[str, Any]:
    """What is the same for every request to one server."""
    return {
        "SERVER_NAME": server_name,
        "SERVER_PORT": str(server_port),
        "SERVER_SOFTWARE": None,
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": file_wrapper,
        "wsgi.input_terminated": True,
    }


def request_part(
    fixed: Mapping[str, Any], request: Asked, client: tuple[Any, ...], version: str
) -> dict[str, Any]:
    """The environment of ``request`` from the address ``client``; ``version`` is the answer's."""
    path = request.path
    if path.startswith("//"):
        path = "/" + path.lstrip("/")
    environ = {
        **fixed,
        "REMOTE_ADDR": client[0],
        "REMOTE_HOST": client[0],
        "REMOTE_PORT": str(client[1]),
        "REQUEST_METHOD": request.command.upper(),
        "SERVER_PROTOCOL": f"HTTP/{version}",
        "PATH_INFO": path,
        "REQUEST_URI": request.request_uri,
        "QUERY_STRING": request.query,
        "wsgi.url_scheme": request.url_scheme,
        "wsgi.errors": sys.stderr,
        # PERF: most bodies came along with their head, in one piece.
        "wsgi.input": BytesIO(request.body)
        if request.body_rcv is None
        else request.get_body_stream(),
    }
    for name, value in request.headers.items():
        if name in _PLAIN:
            environ[name] = value
        elif name not in UNTRUSTED:
            environ["HTTP_" + name] = value
        else:
            environ[RELAYED] = name
    return environ


_PLAIN: Final = frozenset(("CONTENT_LENGTH", "CONTENT_TYPE"))
