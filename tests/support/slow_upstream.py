"""A scripted OpenAI-compatible server on loopback: tokens at a pace that the test sets."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self

__all__ = ["Handler", "SlowUpstream"]


class SlowUpstream:
    """Answers every request with ``tokens`` tokens, ``interval`` seconds apart.

    ``started`` is set when the first token of a stream was written.
    """

    handler: ClassVar[type[Handler]]

    def __init__(self, tokens: int = 3, interval: float = 0.0) -> None:
        self.tokens = tokens
        self.interval = interval
        self.started = threading.Event()
        self._stop = threading.Event()
        handler = type("Handler", (self.handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, port = self._server.server_address[:2]
        return str(host), port

    @property
    def url(self) -> str:
        """The base URL, ``/v1`` included."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def words_of(self, _body: Mapping[str, Any]) -> Sequence[str]:
        """What answers the request ``body``, in its pieces."""
        return ["tick "] * self.tokens

    def pause(self) -> None:
        """Wait one interval, or until the end of the test."""
        if self.interval:
            self._stop.wait(self.interval)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is what some tests are about; anything else is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # passed through


class Handler(BaseHTTPRequestHandler):
    """One connection of :attr:`owner`."""

    owner: SlowUpstream
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
        """Say nothing: the test's output is for the test."""

    def do_POST(self) -> None:
        """Answer one completion, streamed or whole."""
        length = int(self.headers["content-length"])
        body = json.loads(self.rfile.read(length))
        words = self.owner.words_of(body)
        if body.get("stream"):
            self._stream(body["model"], words)
            return
        message = {"role": "assistant", "content": "".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": "c", "object": "chat.completion", "created": 1, "model": body["model"]}
        self.whole({**answer, "choices": [choice]})

    def whole(self, answer: Mapping[str, Any]) -> None:
        """Send ``answer`` with its length."""
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, model: str, words: Sequence[str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
        for word in words:
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            self._event(json.dumps({**head, "choices": [choice]}))
            self.owner.started.set()
            self.owner.pause()
        last: dict[str, object] = {"index": 0, "delta": {}, "finish_reason": "stop"}
        self._event(json.dumps({**head, "choices": [last]}))
        self._event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
        self.wfile.flush()


SlowUpstream.handler = Handler
