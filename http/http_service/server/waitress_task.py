"""One request on its way through the application: its WSGI environment, and its response.

Written against waitress 3.0.x (pinned); the internals in use are ``WSGITask.{get_environment,
write, build_response_header}``, ``ErrorTask.execute``, and the attributes of ``Task``.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportOperatorIssue=false, reportOptionalMemberAccess=false
# The reason: waitress ships no types, and what pyright guesses instead is wrong in places (that a
# channel's socket is always None, that timeouts are whole seconds).

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from itertools import chain
from typing import Any, Final

from waitress.task import ErrorTask, WSGITask

from actors.eventloop import EventLoop
from http_service.api.families import error_document
from http_service.connection import KEY, ResponseWriter
from http_service.headers import ID_HEADER, NO_SNIFF, NO_STORE, request_id_from
from http_service.server.parser import Parser
from http_service.server.request_head import refusal
from http_service.streaming.exchange import response_head
from http_service.telemetry.access_log import AccessRecord, log_request

__all__ = [
    "ANSWERED",
    "AppResponse",
    "RefusalTask",
    "Task",
    "fixed_environ",
    "replay",
    "request_environ",
]


def fixed_environ(
    server_name: str, server_port: int, url_scheme: str, file_wrapper: type
) -> dict[str, Any]:
    """What is the same in WSGI's environment of every request to one server (PEP 3333)."""
    return {
        "SERVER_NAME": server_name,
        "SERVER_PORT": str(server_port),
        "SERVER_SOFTWARE": None,
        "SCRIPT_NAME": "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url_scheme,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": file_wrapper,
        "wsgi.input_terminated": True,
    }


def request_environ(
    fixed: Mapping[str, Any], request: Parser, client: tuple[Any, ...], connection: object
) -> dict[str, Any]:
    """The environment of ``request``, which came on ``connection`` from the address ``client``.

    PERF: copied from what the request line and the headers were read to, key by key in C.
    """
    address = client[0]
    return {
        **fixed,
        **request.line.environ,
        **request.headers,
        "REMOTE_ADDR": address,
        "REMOTE_HOST": address,
        "REMOTE_PORT": str(client[1]),
        "wsgi.errors": sys.stderr,
        # PERF: most bodies came along with their head, in one piece.
        "wsgi.input": BytesIO(request.body)
        if request.body_rcv is None
        else request.get_body_stream(),
        KEY: connection,
    }


_HOP_BY_HOP: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
    )
)
"""What an application may not set (PEP 3333)."""

_NOTABLE: Final = _HOP_BY_HOP | {"content-length", "cache-control"}
"""Headers that change how the response is framed, or must not be there."""


_BODILESS: Final = frozenset(("204", "304"))


class AppResponse:
    """What the application makes of one request; :meth:`start_response` is WSGI's.

    PERF: no object is made for what the class says already, and no closure a request.
    """

    status: str = ""
    headers: list[tuple[str, str]]
    length: int | None = None
    cacheable = False
    """Whether the headers say for themselves how the response may be kept."""
    body: Iterable[bytes] = ()
    error: Exception | None = None
    writer: ResponseWriter | None = None
    """Who took the response over."""
    again = False
    """Whether the request is to run again, on a worker."""
    parked: float | None = None
    """In how many seconds it is to run again, on the loop."""
    _later: Any = None
    _written: list[bytes] | None = None

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        """See PEP 3333. Raises ``ValueError`` and ``AssertionError`` for what HTTP can't say."""
        if self._later is not None:  # the application goes on while its body is iterated
            write: Callable[[bytes], object] = self._later(status, headers, exc_info)
            return write
        if self.status and not exc_info:
            raise AssertionError("start_response called a second time without exc_info")
        self.length = None
        # PERF: names and values as one text, in C; most responses have few headers.
        text = status + "".join(map("".join, headers))
        # SECURITY: a line break would let a value write headers of its own.
        if "\n" in text or "\r" in text:
            raise ValueError(f"there is a line break in {_broken(status, headers)}")
        for name, _ in headers:
            if name.lower() in _NOTABLE:
                self._note(headers)
                break
        self.status = status
        self.headers = [*headers]
        return self._write

    def _note(self, headers: list[tuple[str, str]]) -> None:
        for name, value in headers:
            key = name.lower()
            if key == "content-length":
                self.length = int(value)
            elif key == "cache-control":
                self.cacheable = True
            elif key in _HOP_BY_HOP:
                raise AssertionError(f"the header {name!r} is the server's to send")

    def short_body(self, method: str, longest: int) -> bytes | None:
        """The body if it is whole, of one piece, and at most ``longest`` bytes."""
        body = self.body
        if type(body) is not list or len(body) != 1 or self._written or not self.status:
            return None
        data: Any = body[0]
        whole = type(data) is bytes and self.length in (None, len(data)) and len(data) <= longest
        bodiless = method == "HEAD" or self.status[0] == "1" or self.status[:3] in _BODILESS
        return data if whole and not bodiless else None

    def complete_headers(self, version: str, length: int, *, close: bool) -> None:
        """Add what HTTP needs to the headers of a body of ``length`` bytes."""
        headers = self.headers
        if self.length is None:
            headers.append(("content-length", str(length)))
        if not self.cacheable:
            headers.append(NO_STORE)
        if close:
            headers.append(("connection", "close"))
        elif version == "1.0":
            headers.append(("connection", "keep-alive"))

    def replay(self, start_response: Any) -> Iterable[bytes]:
        """The response for Waitress, which calls this in the place of the application."""
        if self.error is not None:
            raise self.error
        self._later = start_response
        if self.status:
            start_response(self.status, self.headers)
        return chain(self._written, self.body) if self._written else self.body

    def forget(self, loop: EventLoop) -> None:
        """The application failed: tell who took the response over, if that was before."""
        self.error = None  # PERF: its traceback holds what called the application: a cycle
        if self.writer is not None:
            loop.call(self.writer.client_left)

    def _write(self, data: bytes) -> None:
        self._written = [*(self._written or ()), data]


class Answered:
    """Takes the place of a request whose response was taken over: nothing of it is needed."""

    error = None
    unread = False
    reserved = body_bytes_received = 0
    path = ""

    def release(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""


ANSWERED: Final = Answered()


def replay(made: AppResponse, start_response: Any) -> Iterable[bytes]:
    """Waitress' application: the real one has been called already."""
    return made.replay(start_response)


class Task(WSGITask):  # type: ignore[misc]  # waitress ships no types
    """Writes a response that is refused to no one else: long, a file, without a body, failed."""

    wrote_header: bool

    def get_environment(self) -> AppResponse:
        """What :func:`replay` gets for an environment."""
        made: AppResponse = self.channel.made
        return made

    def write(self, data: bytes) -> None:
        """Write a part of the body; head and a whole body go out in one system call."""
        length = self.content_length
        if self.wrote_header or not self.complete or length is None or len(data) != length:
            super().write(data)
            return
        head = self.build_response_header()
        self.wrote_header = True
        self.content_bytes_written = length
        self.channel.write_soon(head + data if self.has_body else head)

    def build_response_header(self) -> bytes:
        """The head; it says where the connection ends here."""
        headers = self.response_headers
        if self.content_length is None and self.has_body:
            if self.version == "1.1":
                headers.append(("transfer-encoding", "chunked"))
                self.chunked_response = True
            else:
                self.set_close_on_finish()
        elif self.content_length is not None and not _names(headers, "content-length"):
            headers.append(("content-length", str(self.content_length)))
        if not _names(headers, "cache-control"):
            headers.append(NO_STORE)
        if self.ends_connection():
            self.set_close_on_finish()
        elif self.version == "1.0":
            headers.append(("connection", "keep-alive"))
        return response_head(self.version, self.status, headers)

    def ends_connection(self) -> bool:
        """Whether the connection closes after this response (RFC 9112, 9.3)."""
        if self.close_on_finish or self.channel.draining:
            return True
        return bool(self.request.connection_close)


class RefusalTask(ErrorTask):  # type: ignore[misc]  # waitress ships no types
    """The answer to what never reached the application: bad bytes, too much, too long."""

    def execute(self) -> None:
        """Write the refusal in our shape, and have the connection linger after it."""
        began = time.monotonic()
        request = self.request
        reply = refusal(request.error.code, request.error.body)
        request_id = request_id_from(request.headers.get("HTTP_X_REQUEST_ID"))
        path = getattr(request, "path", "") or "-"
        body, family_headers = error_document(reply, path, request_id)
        self.status = f"{reply.status} {request.error.reason}"
        self.content_length = len(body)
        self.response_headers += [("Content-Type", "application/json"), (ID_HEADER, request_id)]
        self.response_headers += [*family_headers, NO_STORE, NO_SNIFF]
        if reply.retry_after is not None:
            self.response_headers.append(("Retry-After", str(reply.retry_after)))
        self.set_close_on_finish()
        self.channel.lingers = True
        self.write(body)
        count = getattr(self.channel.server.app, "count_refusal", None)
        if count is not None:  # it is ours, and not any WSGI application
            count(path, reply.status)
        log_request(
            AccessRecord(
                request_id=request_id,
                method=getattr(request, "command", "") or "-",
                path=path,
                status=reply.status,
                elapsed_ms=round((time.monotonic() - began) * 1000, 3),
                error_type=reply.error_type.value,
            )
        )


def _names(headers: list[tuple[str, str]], name: str) -> bool:
    return any(each.lower() == name for each, _ in headers)


def _broken(status: str, headers: list[tuple[str, str]]) -> str:
    """What has a line break in it: the status, or the first such header."""
    if set("\r\n") & {*status}:
        return "the status"
    return next(f"the header {name!r}" for name, value in headers if set("\r\n") & {*name, *value})
