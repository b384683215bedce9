"""A scripted admin API on loopback: what the commands show without a whole front-end behind it.

Documents are in the shape of ``docs/reference/admin-api.md``; the tests of the commands that run
against a real front-end hold both together.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

__all__ = ["AdminServer", "instance", "model"]

_PREFIX: Final = "/admin/v1/"


class AdminServer:
    """Answers GETs from ``documents``, by path; keeps POSTs; streams what :meth:`send` gives it.

    ``answer`` makes the answer to a POST of its path and body.
    """

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self.documents: dict[str, Any] = {**documents}
        self.posted: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.answer: Callable[[str, Any], Any] = lambda _path, _body: {"before": {}, "after": {}}
        self.asked: list[str] = []
        self.events: queue.Queue[bytes | None] = queue.Queue()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def send(self, topic: str, document: Any, sequence: int = 1) -> None:
        """Send one event to the reader of the stream."""
        lines = f": comment\nevent: {topic}\nid: {sequence}\ndata: {json.dumps(document)}\n\n"
        self.events.put(lines.encode())

    def end(self) -> None:
        """End the stream."""
        self.events.put(None)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.end()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    owner: AdminServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        """Nothing: tests read what the command prints."""

    def do_GET(self) -> None:  # the library's name
        self.owner.asked.append(self.path)
        path = self.path.removeprefix(_PREFIX).partition("?")[0]
        if path == "stream":
            self._stream()
        elif path in self.owner.documents:
            self._answer(200, self.owner.documents[path])
        else:
            self._answer(404, {"error": {"message": f"there is no {path}"}})

    def do_POST(self) -> None:  # the library's name
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.headers["content-type"] == "application/json"
        path = self.path.removeprefix(_PREFIX)
        self.owner.posted.put((path, body))
        self._answer(200, self.owner.answer(path, body))

    def _answer(self, status: int, document: Any) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        while (event := self.owner.events.get()) is not None:
            try:
                self.wfile.write(event)
                self.wfile.flush()
            except OSError:
                return
        self.close_connection = True


def instance(id_: str, **fields: Any) -> dict[str, Any]:
    """One instance, serving, with some fields changed."""
    return {
        "id": id_,
        "kind": "chat",
        "endpoint": "http://10.0.0.7:8000/v1",
        "state": "serving",
        "breaker": "closed",
        "inflight": 0,
        "max_concurrency": 16,
        "weight": 1.0,
        "share": 1.0,
        "selections": 7,
        "failures": 0,
        "last_error": None,
        "since": 1.0,
        "first_token": 0.039,
        "overrides": {"drained": False, "ejected": False, "weight": None},
        **fields,
    }


def model(id_: str, *instances: Mapping[str, Any]) -> dict[str, Any]:
    """One model with its instances."""
    return {"id": id_, "waiting": 0, "instances": [*instances]}
