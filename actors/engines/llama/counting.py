"""Counts a prompt's tokens with the model in this process, over llama.cpp's private listener.

llama.cpp has no other way to its tokenizer and its chat template; no slot is taken.
"""

from __future__ import annotations

import http.client
import socket
import time
from typing import Final

import orjson

from actors.engines.contract import Context, EngineRequest
from actors.engines.counting import COUNT_SECONDS, count_in
from actors.engines.dialect import Counter
from actors.engines.errors import EngineUnavailable
from actors.engines.refusals import error_of_answer

__all__ = ["count_at"]

_MAX_ANSWER: Final = 64 * 1024


class _PrivateConnection(http.client.HTTPConnection):
    """To a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """See ``HTTPConnection``."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def count_at(path: str, key: str, request: EngineRequest, context: Context) -> int:
    """The tokens of the prompt of ``request``, a chat completion's. Blocks until its deadline.

    ``path`` is llama.cpp's socket. Raises ``EngineError``.
    """
    limit = COUNT_SECONDS if context.deadline is None else context.deadline - time.monotonic()
    connection = _PrivateConnection(path, max(limit, 0.001))
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    try:
        connection.request("POST", Counter.INPUT_TOKENS.path, orjson.dumps(request.body), headers)
        response = connection.getresponse()
        body = response.read(_MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise EngineUnavailable("the model does not count now") from error
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise error_of_answer(response.status, {}, body)
    return count_in(body)
