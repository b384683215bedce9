"""What the tests here ask, and the worker that answers."""

from __future__ import annotations

import pytest

from http_service.api.endpoints import ENDPOINTS, ApiEndpoint
from tests.engines.raw_server import Line, RawServer, answer
from tests.http_service.serving import Answer, Client

ROWS = [endpoint for endpoint in ENDPOINTS if endpoint.media]
FORMS = [endpoint for endpoint in ROWS if endpoint.form]
each = pytest.mark.parametrize("endpoint", ROWS, ids=lambda endpoint: endpoint.path)
each_form = pytest.mark.parametrize("endpoint", FORMS, ids=lambda endpoint: endpoint.path)

HEARD = "/v1/audio/transcriptions"
SAID = "/v1/audio/speech"
TYPE = 'multipart/form-data; boundary="a b"; charset=x'
FILE = bytes(range(256)) * 40
FORM = (
    b'--a b\r\nContent-Disposition: form-data; name="file"; filename="m\xc3\xb6del.wav"\r\n'
    b"Content-Type: audio/wav\r\n\r\n" + FILE + b"\r\n"
    b'--a b\r\nContent-Disposition: form-data; name="model"\r\n\r\nMODEL\r\n--a b--\r\n'
)
JSON = b'{"input":"hello" , "model":"MODEL","own":1e2}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n"
SOUND = b"\x00\xff\r\n\r\n:" * 20_000


def sent(endpoint: ApiEndpoint, model: str = "up") -> tuple[bytes, str]:
    """A request's body, and its type."""
    raw = FORM if endpoint.form else JSON
    return raw.replace(b"MODEL", model.encode()), TYPE if endpoint.form else "application/json"


class Worker(RawServer):
    """Says ``parts``, and hangs up after them unless ``keeps``."""

    def __init__(self) -> None:
        super().__init__(self._talk)
        self.parts = [answer(200, b' {"text": "hi"}', "content-type: application/json")]
        self.keeps = True

    def _talk(self, line: Line) -> None:
        while True:
            line.hear()
            for part in self.parts:
                line.say(part)
            if not self.keeps:
                return


def post(client: Client, endpoint: ApiEndpoint, model: str = "up", **headers: str) -> Answer:
    raw, content_type = sent(endpoint, model)
    return client.call("POST", endpoint.path, raw, content_type=content_type, **headers)


HEARD_ROW = next(endpoint for endpoint in ROWS if endpoint.path == HEARD)
SAID_ROW = next(endpoint for endpoint in ROWS if endpoint.path == SAID)


def speech_request(version: bytes) -> bytes:
    """A whole request for speech, in this version of HTTP."""
    raw, _ = sent(SAID_ROW)
    return (
        b"POST /v1/audio/speech HTTP/%b\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (version, len(raw), raw)
    )
