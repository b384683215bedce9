"""Waitress' request parser with a reading of our own: stricter, and cheaper.

Every head goes through ``request_head``, every body through ``bodies``; of Waitress remains the
contract with its channel and tasks: the attributes that they read, and ``received``. Where both
accept a request, both say the same of it; ``tests/http_service/fuzz`` compares them.

Written against waitress 3.0.x (pinned); the internals in use are ``HTTPRequestParser.{adj,
headers, close, get_body_stream}`` and the attributes that ``received`` sets.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false
# pyright: reportIncompatibleVariableOverride=false, reportAssignmentType=false
# The reason: waitress ships no types, and what pyright guesses instead is wrong in places (that an
# attribute set to None in the class body is always None).

from __future__ import annotations

from typing import Any, Final

from waitress.parser import HTTPRequestParser

from http_service.errors import NO_ROOM
from http_service.server.bodies import ChunkedBody, SizedBody
from http_service.server.intake import Intake
from http_service.server.refusals import Refusal
from http_service.server.request_head import CHUNKED, BadHead, body_length, read_fields, read_line

__all__ = ["Parser"]

HEAD_END: Final = b"\r\n\r\n"

NO_LIMIT: Final = Intake(lambda _method, _path, _headers: True, 1 << 62)
"""For a parser on its own: takes in every body."""

LEAST_FRAMING: Final = 4096
"""Bytes that the sizes and ends of chunks may take in any case; else as many as the body may."""


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress ships no types
    """Takes bytes until one request is complete or refused; Waitress' attributes tell it.

    A refused request has ``error`` set, is ``completed``, and is never told to go on sending. Holds
    at most the head's limit and the body's limit in memory, and never makes a file.

    A body that ``intake`` does not take in is ``unread``: the request is complete without it, and
    its connection closes after the answer. Only on the loop's thread, but for :meth:`hold` and
    :meth:`close`.
    """

    headers: dict[str, str]
    body_rcv: SizedBody | ChunkedBody | None = None
    error: Refusal | None = None
    unread: bool = False
    reserved: int = 0
    _undecided: bool = False
    version: str = "1.0"
    header_plus: bytes = b""
    expect_continue: bool = False
    first_line: bytes = b""
    # What a refused head leaves unset, and the log reads.
    command = path = query = fragment = request_uri = ""
    proxy_scheme = proxy_netloc = url_scheme = ""

    def __init__(self, adj: Any, intake: Intake = NO_LIMIT) -> None:
        # PERF: Waitress' own does just this.
        self.headers = {}
        self.adj = adj
        self.intake = intake

    def received(self, data: bytes) -> int:
        """Take bytes; the number taken."""
        if self.completed:
            return 0
        body = self.body_rcv
        taken = self._receive_head(data) if body is None else self._receive_body(body, data)
        if self.completed:
            # Refused, or all here: there is nothing to go on with.
            self.expect_continue = False
        return taken

    def refuse_late(self) -> None:
        """Refuse what has come until now: the client was too slow (408)."""
        self._refuse(408, "it took too long to arrive")
        self.expect_continue = False

    def _receive_head(self, data: bytes) -> int:
        held = len(self.header_plus)
        seen = self.header_plus + data if held else data
        end = seen.find(HEAD_END, held - 3 if held > 3 else 0) + 4
        limit = self.adj.max_request_header_size
        if end < 4:
            self.header_plus = seen
            self.header_bytes_received = len(seen)
            if len(seen) >= limit:
                self._refuse(431, f"more than {limit} bytes")
            return len(data)
        self.header_plus = b""
        self.header_bytes_received = end
        self.headers_finished = True
        if end >= limit:
            self._refuse(431, f"more than {limit} bytes")
            return end - held
        try:
            self.parse_header(seen[: end - 4])
        except BadHead as bad:
            self._refuse(bad.status, str(bad))
        if self.completed:
            return end - held
        if not self.chunked and len(seen) - end >= self.content_length:
            return end - held + self._receive_whole_body(seen, end)
        self._judge_head()
        return len(data) if self.unread else end - held

    def parse_header(self, header_plus: bytes) -> None:
        """Read a head without its last, empty line. Raises :class:`BadHead`."""
        # A client may send an empty line after a request (RFC 9112, 2.2); other blanks it may not.
        lines = header_plus.removeprefix(b"\r\n").split(b"\r\n")
        first = lines.pop(0)
        if not first:
            self.empty = self.completed = True
            return
        self._take_line(first)
        headers = self.headers
        read_fields(lines, headers)
        length = body_length(self.version, headers)
        connection = headers.get("CONNECTION", "").lower()
        if self.version == "1.0":
            self.connection_close = connection != "keep-alive"
        else:
            self.connection_close = connection == "close" or (
                "," in connection and "close" in map(str.strip, connection.split(","))
            )
            self.expect_continue = headers.get("EXPECT", "").lower() == "100-continue"
        self._expect_body(length)

    def _take_line(self, first: bytes) -> None:
        line = read_line(first)
        self.first_line = first
        self.command = line.method
        self.request_uri = line.target
        self.version = line.version
        self.proxy_scheme = line.scheme
        self.proxy_netloc = line.authority
        self.path = line.path
        self.query = line.query
        self.fragment = line.fragment
        self.url_scheme = self.adj.url_scheme

    def _expect_body(self, length: int) -> None:
        limit = self.adj.max_request_body_size  # what reaches it is refused
        if length == CHUNKED:
            del self.headers["TRANSFER_ENCODING"]  # it is undone before the application sees it
            self.chunked = True
            self.body_rcv = ChunkedBody(limit - 1)
        elif length >= limit:
            raise BadHead(413, f"more than {limit - 1} bytes")
        elif length:
            self.content_length = length
            self.body_rcv = SizedBody(length)
        else:
            self.completed = True

    def hold(self, size: int) -> bool:
        """Whether ``size`` bytes more may be held for this request, until it is over."""
        return self.intake.reserve(self, size)

    def release(self) -> None:
        """Nothing is held for this request any more. Idempotent."""
        if self.reserved:
            self.intake.release(self)

    def close(self) -> None:
        """The request is over."""
        super().close()
        self.release()

    def _judge_head(self) -> None:
        """Decide on a body that is still to come; again while the keys are being looked at."""
        taken_in = self.intake.reads_body(self.command, self.path, self.headers)
        self._undecided = taken_in is None
        if taken_in is False:
            self.unread = self.completed = self.connection_close = True
            self.body_rcv = None
            self.release()
        elif not self.intake.has_room(self.content_length - self.reserved):
            self._refuse_for_memory()

    def _receive_whole_body(self, seen: bytes, begin: int) -> int:
        """Take a body that came along with its head."""
        length: int = self.content_length
        if self.body_rcv is not None:
            self.body_rcv.received(seen[begin : begin + length])
        self.body_bytes_received = length
        self.completed = True
        return length

    def _receive_body(self, body: SizedBody | ChunkedBody, data: bytes) -> int:
        if self._undecided:
            self._judge_head()
            if self.completed:
                return len(data)
        limit = self.adj.max_request_body_size
        taken = body.received(data)
        self.body_bytes_received += taken
        if body.error is not None:
            self._refuse(body.error.code, body.error.body)
        elif self.reserved < len(body) and not self.hold(len(body) - self.reserved):
            self._refuse_for_memory()
        elif self.body_bytes_received >= limit + max(limit, LEAST_FRAMING):
            self._refuse(413, "its chunks are too small for its size")
        elif body.completed:
            self.completed = True
            if self.chunked:  # for the application it is a body like any other
                self.headers["CONTENT_LENGTH"] = str(len(body))
        return taken

    def _refuse_for_memory(self) -> None:
        self._refuse(503, NO_ROOM)

    def _refuse(self, status: int, message: str) -> None:
        self.error = Refusal(status, message)
        self.header_plus = b""
        self.body_rcv = None
        self.release()
        self.completed = True
