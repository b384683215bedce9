"""The script of a server that hears, speaks and draws, on a real socket.

Forms are read by Python's own ``email`` parser, so that what it read is not what ours wrote.
"""

from __future__ import annotations

import json
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.engines.raw_server import LAST_CHUNK, Line, Received, answer, chunked

__all__ = ["PICTURE", "SOUND", "MediaUpstream", "fields_of"]

SOUND = bytes(range(256)) * 700
PICTURE = "iVBORw0KGgo="
JSON_TYPE = "content-type: application/json"


def fields_of(received: Received) -> dict[str, list[bytes]]:
    """The fields of the form that was received, by name."""
    head = f"content-type: {received.headers['content-type']}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + received.body)
    found: dict[str, list[bytes]] = {}
    for part in form.get_payload():
        assert isinstance(part, Message)
        name = part.get_param("name", header="content-disposition")
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        found.setdefault(str(name), []).append(value)
    return found


def stream(*events: dict[str, Any]) -> list[bytes]:
    return [b"data: %s\n\n" % json.dumps(event).encode() for event in events]


class MediaUpstream:
    """Answers on the paths of OpenAI's API as their client expects it."""

    def __call__(self, line: Line) -> None:
        while True:
            received = line.hear()
            path = received.line.split()[1]
            if path == "/v1/audio/speech":
                self._speech(line, json.loads(received.body))
            elif path.startswith("/v1/audio/"):
                self._hear(line, fields_of(received))
            elif path == "/v1/images/generations":
                self._draw(line, "image_generation", json.loads(received.body).get("stream"))
            elif path.startswith("/v1/images/"):
                self._draw(line, "image_edit", fields_of(received).get("stream") == [b"true"])
            else:
                line.say(answer(200, b'{"answers":[{"value":true}]}', JSON_TYPE))

    def _speech(self, line: Line, asked: dict[str, Any]) -> None:
        if asked.get("stream_format") == "sse":
            self._events(
                line,
                {"type": "speech.audio.delta", "audio": "AAAA"},
                {"type": "speech.audio.done", "usage": {"total_tokens": 3}},
            )
            return
        line.say(
            b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        for at in range(0, len(SOUND), 50_000):
            line.say(chunked(SOUND[at : at + 50_000]))
        line.say(LAST_CHUNK)

    def _hear(self, line: Line, fields: dict[str, list[bytes]]) -> None:
        if fields.get("stream") == [b"true"]:
            self._events(
                line,
                {"type": "transcript.text.delta", "delta": "an error"},
                {"type": "transcript.text.done", "text": "an error"},
            )
        elif fields.get("response_format") == [b"srt"]:
            line.say(answer(200, b"1\n00:00 --> 00:01\nhello\n", "content-type: text/plain"))
        else:
            told = {"text": f"{len(fields['file'][0])} bytes for {fields['model'][0].decode()}"}
            line.say(answer(200, json.dumps(told).encode(), JSON_TYPE))

    def _draw(self, line: Line, what: str, streamed: object) -> None:
        if not streamed:
            told = {"created": 1, "data": [{"b64_json": PICTURE}]}
            line.say(answer(200, json.dumps(told).encode(), JSON_TYPE))
            return
        self._events(
            line,
            {"type": f"{what}.partial_image", "b64_json": PICTURE, "partial_image_index": 0},
            {"type": f"{what}.completed", "b64_json": PICTURE},
        )

    def _events(self, line: Line, *events: dict[str, Any]) -> None:
        line.say(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        for event in stream(*events):
            line.say(chunked(event))
        line.say(LAST_CHUNK)
