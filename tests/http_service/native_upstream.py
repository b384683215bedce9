"""Scripts of servers that speak dialects, chat completions or both, on a real socket.

What they say natively is what the product's own writers make, whose shape other tests hold to the
makers' clients; ids begin with "native", so that it is seen who wrote an answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from actors.engines.dialect import Dialect
from http_service.dialects.messages_response import MessagesWriter
from http_service.dialects.responses_response import ResponsesWriter
from http_service.dialects.tool_names import ToolNames
from tests.engines.raw_server import LAST_CHUNK, STREAM_HEAD, Line, Received, answer, chunked
from tests.http_service.dialects.chat_streams import chunk, completion_of, text, usage

__all__ = ["NATIVE_ID", "Upstream"]

NATIVE_ID = "native_1"
WORDS = ("I ", "am ", "here")
JSON_TYPE = "content-type: application/json"


class Upstream:
    """The script of a server that has only the paths of ``speaks``, and that of chat if ``chat``.

    With ``held`` its streams wait, the first ``begun`` of them after their first word, until
    :meth:`kill`, which resets their connections.
    """

    def __init__(self, *speaks: Dialect, chat: bool = False, begun: int | None = None) -> None:
        self._paths = {f"/v1/{dialect}": dialect for dialect in speaks}
        self._chat = chat
        self._begun = begun
        self._killed = threading.Event()
        self._lock = threading.Lock()
        self.streams = 0
        """Native streams that were asked for."""

    def kill(self) -> None:
        """Reset what waits."""
        self._killed.set()

    def __call__(self, line: Line) -> None:
        while True:
            received = line.hear()
            if self._killed.is_set():
                line.reset()
                return
            path = received.line.split()[1]
            if path in self._paths:
                self._native(line, received, self._paths[path])
            elif self._chat and path == "/v1/chat/completions":
                self._completion(line, json.loads(received.body))
            else:
                line.say(answer(404, b'{"detail":"Not Found"}', JSON_TYPE))

    def _native(self, line: Line, received: Received, dialect: Dialect) -> None:
        asked = json.loads(received.body)
        writer = _writer(dialect, asked)
        if not asked.get("stream"):
            completion = completion_of([*map(text, WORDS), chunk({}, "stop"), usage()])
            line.say(answer(200, json.dumps(writer.document(completion)).encode(), JSON_TYPE))
            return
        with self._lock:
            number, self.streams = self.streams, self.streams + 1
        line.say(STREAM_HEAD)
        for at, events in enumerate(_events(writer)):
            if self._begun is not None and at == (2 if number < self._begun else 1):
                self._killed.wait(30)
                line.reset()
                raise EOFError  # as if it had hung up: the script is over
            line.say(chunked(events))
        line.say(LAST_CHUNK)

    def _completion(self, line: Line, asked: dict[str, Any]) -> None:
        chunks = [*map(text, WORDS), chunk({}, "stop"), usage()]
        if not asked.get("stream"):
            line.say(answer(200, json.dumps(completion_of(chunks)).encode(), JSON_TYPE))
            return
        line.say(STREAM_HEAD)
        for each in chunks:
            line.say(chunked(b"data: %s\n\n" % json.dumps(each).encode()))
        line.say(chunked(b"data: [DONE]\n\n") + LAST_CHUNK)


def _writer(dialect: Dialect, asked: dict[str, Any]) -> MessagesWriter | ResponsesWriter:
    if dialect is Dialect.MESSAGES:
        return MessagesWriter(NATIVE_ID, asked["model"])
    return ResponsesWriter(NATIVE_ID, asked, ToolNames(()))


def _events(writer: MessagesWriter | ResponsesWriter) -> Iterator[bytes]:
    """The opening, the events of each word, the end."""
    yield writer.begin()
    for word in WORDS:
        yield writer.write(text(word))
    yield writer.write(chunk({}, "stop")) + writer.write(usage()) + writer.end()
