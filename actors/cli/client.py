"""The one HTTP client of the commands: JSON and server-sent events, from one server.

The standard library's, without a proxy: the front-end is asked itself, whatever proxy this machine
has for the rest of the world.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from actors.cli.parsing import UsageError

__all__ = ["ADMIN", "MODELS", "Client", "Event", "Service", "Unreachable", "first_key"]

TIMEOUT: Final = 5.0
"""Seconds for an answer that is made of what is known, without waiting for anything."""

_Failed: Final = (OSError, http.client.HTTPException)


class Unreachable(Exception):
    """The server gave no answer that can be used; the text says why and what to do.

    ``status`` is that of HTTP, 0 where there was none.
    """

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status: Final = status


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event: its topic and its data."""

    topic: str
    data: str

    def json(self) -> Any:
        """Its data as JSON. Raises :class:`Unreachable`."""
        try:
            return json.loads(self.data)
        except ValueError:
            raise Unreachable(f"what came on the stream is not JSON: {self.data[:80]!r}") from None


@dataclass(frozen=True, slots=True)
class Service:
    """What is asked, for the sentences of :class:`Unreachable`.

    What to do if nothing answers (``absent``), something else does (``other``), or it wants a
    ``key``.
    """

    name: str
    absent: str
    other: str
    key: str


ADMIN: Final = Service(
    "admin API",
    "start the front-end with --console 127.0.0.1:8788, or give its address in --admin-url",
    "name the address of --console with --admin-url",
    "an operator's key: give --admin-key-file",
)

MODELS: Final = Service(
    "model server",
    "start one (callboard demo), or give its base URL in --url",
    "give the base URL of an OpenAI-compatible server in --url, its /v1 included",
    "a key: give --api-key-file",
)


class Client:
    """Asks the ``service`` at ``url``, with ``key`` if there is one; keeps its connection.

    ``timeout`` is in seconds, for each step. One thread at a time, but :meth:`close`.
    """

    def __init__(self, service: Service, url: str, key: str, timeout: float = TIMEOUT) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self.url: Final = url
        self._base: Final = parts.path.rstrip("/")
        self._service: Final = service
        self._headers: Final = {"authorization": f"Bearer {key}"} if key else {}
        self._connection: Final = kind(parts.hostname or "", parts.port, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection, also under an answer that still comes. Idempotent."""
        self._connection.close()

    def get(self, path: str) -> Any:
        """The document at ``path``, which begins with "/". Raises :class:`Unreachable`."""
        return self._document("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """What ``path`` answers to the JSON ``body``. Raises :class:`Unreachable`."""
        return self._document("POST", path, body)

    def events(self, path: str, body: Mapping[str, Any] | None = None) -> Iterator[Event]:
        """The events of the stream at ``path``, a POST if there is a ``body``, as they come.

        It is asked for now, and read as one takes the events. Ends with the stream; raises
        :class:`Unreachable`, also if nothing comes for the client's timeout.
        """
        method = "GET" if body is None else "POST"
        return self._read(self._asked(method, path, body, {"accept": "text/event-stream"}))

    def _read(self, response: http.client.HTTPResponse) -> Iterator[Event]:
        try:
            yield from _events(response)
        except _Failed as error:
            raise Unreachable(f"{self.url} broke off its answer ({_reason(error)})") from error
        finally:
            self.close()

    def _document(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        response = self._asked(method, path, body, {})
        try:
            return json.loads(response.read() or b"null")
        except (*_Failed, ValueError) as error:
            self.close()
            raise Unreachable(self._nothing_there(error)) from error

    def _asked(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        more: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        """The answer's head, of a success. Raises :class:`Unreachable`."""
        headers = {**self._headers, **more}
        if body is not None:
            headers["content-type"] = "application/json"
        sent = None if body is None else json.dumps(body).encode()
        try:
            response = self._sent(method, self._base + path, sent, headers)
        except _Failed as error:
            self.close()
            raise Unreachable(self._nothing_there(error)) from error
        if response.status >= http.client.BAD_REQUEST:
            raise Unreachable(self._explained(response), response.status)
        return response

    def _sent(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        kept = self._connection.sock is not None
        try:
            self._connection.request(method, path, body, dict(headers))
            return self._connection.getresponse()
        except (ConnectionError, http.client.RemoteDisconnected):
            self.close()
            if not kept:
                raise
        # The server had closed the connection while it was idle: once more, on a new one.
        self._connection.request(method, path, body, dict(headers))
        return self._connection.getresponse()

    def _nothing_there(self, error: Exception) -> str:
        service = self._service
        return f"no {service.name} answers at {self.url} ({_reason(error)}): {service.absent}"

    def _explained(self, response: http.client.HTTPResponse) -> str:
        """What an error of the server means; reads its body."""
        if response.status == http.client.UNAUTHORIZED:
            self.close()
            return f"{self.url} wants {self._service.key}"
        try:
            told = json.loads(response.read())["error"]["message"]
        except (*_Failed, ValueError, LookupError, TypeError):
            self.close()
            name, other = self._service.name, self._service.other
            return f"{self.url} has no {name} ({response.status}): {other}"
        return f"{self.url} answers {response.status}: {told}"


def first_key(path: str, option: str) -> str:
    """The first key of the file at ``path``, "" for no path. Raises ``UsageError``."""
    if not path:
        return ""
    try:
        lines = Path(path).read_text("ascii").splitlines()
    except (OSError, ValueError):
        raise UsageError(f"{option}: {path!r} can't be read: give a file of ASCII keys") from None
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise UsageError(f"{option}: {path!r} holds no key: write one into it")
    return keys[0].split()[-1]


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


def _events(response: http.client.HTTPResponse) -> Iterator[Event]:
    """The events of an answer (WHATWG HTML §9.2.6); comments are left out."""
    topic, data = "", list[str]()
    for raw in response:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(topic, "\n".join(data))
            topic, data = "", []
        elif name == "event":
            topic = value
        elif name == "data":
            data.append(value)
