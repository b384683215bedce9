"""One connection, and the requests on it: what is changed of Waitress' channel and tasks.

Errors in OpenAI's shape, a client's leaving told at once, a refused upload read to its end before
the connection closes, ``Connection: close`` while draining; nothing else. Written against waitress
3.0.x (pinned); the internals in use are
``HTTPChannel.{handle_close, handle_write, handle_read, readable, writable, received}``,
``WSGITask.{get_environment, execute, build_response_header}`` and ``ErrorTask.execute``.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false
# pyright: reportOperatorIssue=false, reportOptionalMemberAccess=false
# The reason: waitress ships no types, and what pyright guesses instead is wrong in places (that a
# channel's socket is always None, that timeouts are whole seconds).

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any, Final

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask, WSGITask

from http_service.access_log import AccessRecord, log_request
from http_service.disconnect import KEY
from http_service.request_id import HEADER, request_id_from
from http_service.server.limits import LINGER_SECONDS
from http_service.server.parser import Parser
from http_service.server.refusals import refusal

__all__ = ["Channel"]

DISCARD_BYTES: Final = 64 * 1024
"""How much of a refused upload is read and dropped at a time."""


class Task(WSGITask):  # type: ignore[misc]  # waitress ships no types
    """One request for the application."""

    def get_environment(self) -> dict[str, Any]:
        """WSGI's environment, and a way to hear of the client's leaving."""
        environ: dict[str, Any] = super().get_environment()
        environ[KEY] = self.channel.watch
        return environ

    def execute(self) -> None:
        """Run the application and write what it answers."""
        try:
            super().execute()
        finally:
            # NOTE: here and not after the channel's service(): that starts the next pipelined
            # request on another worker before it returns.
            self.channel.unwatch()

    def build_response_header(self) -> bytes:
        """The head; while draining it says that the connection ends here."""
        if self.channel.server.draining:
            self.set_close_on_finish()
        head: bytes = super().build_response_header()
        return head


class RefusalTask(ErrorTask):  # type: ignore[misc]  # waitress ships no types
    """The answer to what never reached the application: bad bytes, too much, too long."""

    def execute(self) -> None:
        """Write the refusal in our shape, and have the connection linger after it."""
        request = self.request
        reply = refusal(request.error.code, request.error.body)
        request_id = request_id_from(request.headers.get("X_REQUEST_ID"))
        body = reply.body()
        self.status = f"{reply.status} {request.error.reason}"
        self.content_length = len(body)
        self.response_headers += [("Content-Type", "application/json"), (HEADER, request_id)]
        self.set_close_on_finish()
        self.channel.lingers = True
        self.write(body)
        log_request(
            AccessRecord(
                request_id=request_id,
                method=getattr(request, "command", "") or "-",
                path=getattr(request, "path", "") or "-",
                status=reply.status,
                elapsed_ms=round((time.time() - self.start_time) * 1000, 3),
                error_type=reply.error_type.value,
            )
        )


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress ships no types
    """One connection.

    ``service``, ``watch`` and ``unwatch`` run on a worker's thread, all else on the loop's.
    """

    task_class = Task
    error_task_class = RefusalTask
    parser_class = Parser
    lingers = False
    linger_until = 0.0
    _on_gone: Callable[[], None]

    def watch(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once if the client leaves while its request is being answered."""
        self._on_gone = callback
        if not self.connected:
            self._tell_gone()

    def unwatch(self) -> None:
        """The request is answered: forget who watched."""
        self.__dict__.pop("_on_gone", None)

    def handle_close(self) -> None:
        """Close the connection, then tell who watched."""
        super().handle_close()
        self._tell_gone()

    def _tell_gone(self) -> None:
        # NOTE: one atomic step: a worker and the loop may both be here, and only one may tell.
        callback: Callable[[], None] | None = self.__dict__.pop("_on_gone", None)
        if callback is not None:
            callback()

    @property
    def idle(self) -> bool:
        """Whether nothing is being received, answered or sent."""
        return not self.requests and self.request is None and not self.total_outbufs_len

    # A refused upload: answer, say that no more comes, read the rest and drop it, then close.

    def received(self, data: bytes) -> bool:
        """Parse requests out of ``data``, unless it belongs to one that was refused."""
        if self.requests and self.requests[-1].error is not None:
            return True  # the rest of what was refused, not a request
        taken: bool = super().received(data)
        return taken

    def handle_write(self) -> None:
        """Send what is ready; after a refusal, linger instead of closing."""
        if self.linger_until:
            if self.will_close:
                self.handle_close()
        elif self.lingers and self.close_when_flushed and not self.will_close:
            self._flush_exception(self._flush_some)
            if not self.total_outbufs_len and not self.will_close and self.connected:
                self._linger()
        else:
            super().handle_write()

    def _linger(self) -> None:
        self.close_when_flushed = False
        self.linger_until = time.monotonic() + LINGER_SECONDS
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the client has left already
            self.handle_close()

    def readable(self) -> bool:
        """Whether to wait for bytes."""
        return bool(self.linger_until) or bool(super().readable())

    def writable(self) -> bool:
        """Whether to wait for room, or for the chance to close."""
        return bool(self.will_close) if self.linger_until else bool(super().writable())

    def handle_read(self) -> None:
        """Read; while lingering, only to drop it."""
        if not self.linger_until:
            super().handle_read()
        elif time.monotonic() > self.linger_until:
            self.handle_close()
        else:
            self.recv(DISCARD_BYTES)  # closes the channel itself at the end of the upload
