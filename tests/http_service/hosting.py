"""``python -m tests.http_service.hosting SERVER FD``: our application under somebody else's server.

The listening socket is inherited, so that a client can connect before the server is up.
"""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from actors.engines.contract import Chunk, Context, EngineRequest
from actors.engines.errors import EngineUnavailable
from http_service import HttpService, HttpServiceConfig
from tests.http_service.conftest import add_echo
from tests.http_service.engines import token_chunk

PAUSE = 0.01
"""Seconds between two tokens of the endless engine."""


class Endless:
    """Goes on until nobody listens."""

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        """Tokens without end."""
        while not context.token.wait(PAUSE):
            yield token_chunk(request.kind, "x" * 4096)


class Broken:
    """Fails before its first token."""

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        """Nothing."""
        del request, context
        yield from ()
        raise EngineUnavailable("The engine is not there.")


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its signature
        """Nothing on stderr."""


class _Threading(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def application() -> Callable[..., Any]:
    """The application of a service that is not run itself."""
    service = HttpService(HttpServiceConfig(metrics_prefix="hosted"))
    add_echo(service)
    manager = service.model_manager()
    manager.add_chat_completions_model("endless", Endless())
    manager.add_chat_completions_model("broken", Broken())
    return service.app


def serve_wsgiref(listening: socket.socket) -> None:
    """The standard library's server, one thread a request, HTTP/1.0."""
    server = _Threading(("127.0.0.1", 0), _Quiet, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    server.server_name, server.server_port = "127.0.0.1", listening.getsockname()[1]
    server.setup_environ()
    server.set_app(application())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()  # until we are killed


def serve_waitress(listening: socket.socket) -> None:
    """Stock Waitress, as ``waitress.serve`` runs it."""
    import waitress

    waitress.serve(application(), sockets=[listening], threads=8, _quiet=True)


def serve_gunicorn(listening: socket.socket) -> None:
    """Gunicorn with threads in one worker."""
    from gunicorn.app.wsgiapp import run  # type: ignore[import-untyped]  # gunicorn ships no types

    sys.argv = [
        "gunicorn",
        f"--bind=fd://{listening.detach()}",
        "--worker-class=gthread",
        "--threads=8",
        "--no-control-socket",
        "--log-level=error",
        "tests.http_service.hosting:application()",
    ]
    run()


SERVERS: dict[str, Callable[[socket.socket], None]] = {
    "gunicorn": serve_gunicorn,
    "waitress": serve_waitress,
    "wsgiref": serve_wsgiref,
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](socket.socket(fileno=int(sys.argv[2])))
