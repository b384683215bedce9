"""One request on its way through the application: what is changed of Waitress' tasks.

Written against waitress 3.0.x (pinned); the internals in use are ``WSGITask.{get_environment,
finish, write, build_response_header}``, ``ErrorTask.execute``, and the attributes of ``Task``.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportOperatorIssue=false, reportOptionalMemberAccess=false
# The reason: waitress ships no types, and what pyright guesses instead is wrong in places (that a
# channel's socket is always None, that timeouts are whole seconds).

from __future__ import annotations

import time
from typing import Any

from waitress.task import ErrorTask, WSGITask

from http_service.access_log import AccessRecord, log_request
from http_service.connection import KEY, Answering
from http_service.inline import NeedsWorker
from http_service.request_id import HEADER, request_id_from
from http_service.response_head import NO_SNIFF, NO_STORE, response_head
from http_service.server.environ import request_part
from http_service.server.refusals import refusal

__all__ = ["Detached", "RefusalTask", "Task"]


class Detached(BaseException):
    """Leaves Waitress' service of a request whose answer is still to come.

    No ``Exception``: nothing on the way may take it for a failure.
    """

    def __init__(self, answering: Answering, task: Task) -> None:
        super().__init__()
        self.answering = answering
        self.task = task

    def begin(self) -> None:
        """Have the answer written; on the loop's thread."""
        task = self.task
        self.answering.begin(task.version, task.response_headers, close=task.ends_connection())


class Task(WSGITask):  # type: ignore[misc]  # waitress ships no types
    """One request for the application."""

    wrote_header: bool

    def get_environment(self) -> dict[str, Any]:
        """WSGI's environment, with the connection in it."""
        channel = self.channel
        environ = request_part(channel.server.environ, self.request, channel.addr, self.version)
        environ[KEY] = channel
        return environ

    def finish(self) -> None:
        """The application returned: end the response, or leave it to who took it over."""
        channel = self.channel
        taken, channel.taken = channel.taken, None
        if taken is not None:
            raise Detached(taken, self)
        again, channel.again = channel.again, False
        if again:
            raise NeedsWorker
        super().finish()

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
        request_id = request_id_from(request.headers.get("X_REQUEST_ID"))
        body = reply.body()
        self.status = f"{reply.status} {request.error.reason}"
        self.content_length = len(body)
        self.response_headers += [("Content-Type", "application/json"), (HEADER, request_id)]
        self.response_headers += [NO_STORE, NO_SNIFF]
        if reply.retry_after is not None:
            self.response_headers.append(("Retry-After", str(reply.retry_after)))
        self.set_close_on_finish()
        self.channel.lingers = True
        self.write(body)
        path = getattr(request, "path", "") or "-"
        count = getattr(self.channel.server.application, "count_refusal", None)
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
