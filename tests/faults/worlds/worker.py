"""A worker that stands for a model server: answers with the question, as real ones would."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

__all__ = ["Worker"]


class Worker:
    """An OpenAI-compatible echo server on loopback; a context manager."""

    def __init__(self) -> None:
        self.answered = 0

        class Handler(_Handler):
            owner = self

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._server.server_address[:2]
        return str(host), port

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what the suite is about."""


class _Handler(BaseHTTPRequestHandler):
    owner: Worker
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base names it
        """Say nothing."""

    def do_GET(self) -> None:
        """Anything that is probed for is there."""
        self._whole({"object": "list", "data": []})

    def do_POST(self) -> None:
        """Echo one chat, streamed or whole."""
        body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = body["messages"][-1]["content"]
        head = {"id": "chatcmpl-w", "created": 1, "model": body["model"]}
        self.owner.answered += 1
        if body.get("stream"):
            self._stream(head, text)
            return
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._whole({**head, "object": "chat.completion", "choices": [choice]})

    def _whole(self, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def _stream(self, head: dict[str, Any], text: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        words = text.split(" ")
        for number, word in enumerate(words):
            delta = {"content": word if number == 0 else f" {word}"}
            self._event(head, {"index": 0, "delta": delta, "finish_reason": None})
        self._event(head, {"index": 0, "delta": {}, "finish_reason": "stop"})
        self._chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _event(self, head: dict[str, Any], choice: dict[str, Any]) -> None:
        data = json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]})
        self._chunk(f"data: {data}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()
