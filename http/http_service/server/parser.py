"""Waitress' request parser with a reading of our own: stricter, and cheaper.

Every head goes through ``request_head``, every body through ``bodies``; of Waitress remains the
contract with its channel and tasks: the attributes that they read, and ``received``. Where both
accept a request, both say the same of it; ``tests/http_service/server/fuzz`` compares them.

Written against waitress 3.0.x (pinned); the internals in use are ``HTTPRequestParser.{adj,
headers, close, get_body_stream}`` and the attributes that ``received`` sets.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# pyright: reportIncompatibleMethodOverride=false
# pyright: reportIncompatibleVariableOverride=false, reportAssignmentType=false
# The reason: waitress ships no types, and what pyright guesses instead is wrong in places (that an
# attribute set to None in the class body is always None).

from __future__ import annotations

from io import BytesIO
from typing import Any, Final

from waitress.parser import HTTPRequestParser

from http_service.errors import NO_ROOM
from http_service.server.bodies import ChunkedBody, SizedBody
from http_service.server.limits import BodyAdmission
from http_service.server.request_head import (
    CHUNKED,
    NO_LINE,
    ParseError,
    RequestLine,
    body_length,
    ends_connection,
    read_fields,
    read_line,
    remembered_lines,
)

__all__ = ["Parser"]

HEAD_END: Final = b"\r\n\r\n"

NO_LIMIT: Final = BodyAdmission(lambda _method, _path, _headers: True, 1 << 62)
"""For a parser on its own: takes in every body."""

LEAST_FRAMING: Final = 4096
"""Bytes that the sizes and ends of chunks may take in any case; else as many as the body may."""


class Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress ships no types
    """Takes bytes until one request is complete or refused; Waitress' attributes tell it.

    A refused request has ``error`` set, is ``completed``, and is never told to go on sending. Holds
    at most the head's limit and the body's limit in memory, and never makes a file.

    A body that ``intake`` does not take in is ``unread``: the request is complete without it, and
    its connection closes after the answer. Only on the loop's thread, but for :meth:`hold`,
    :meth:`close`, and what reads the body.
    """

    headers: dict[str, str]
    """Named as in WSGI's environment."""
    line: RequestLine = NO_LINE
    whole: bool = False
    """Whether the bytes that its head ended in are this request, accepted, and nothing else."""
    body: bytes = b""
    """A body that came whole, along with its head. PERF: kept as it came, in no file."""
    body_rcv: SizedBody | ChunkedBody | None = None
    error: ParseError | None = None
    unread: bool = False
    parked_since: float | None = None
    """When it first had to wait, on the loop's clock."""
    reserved: int = 0
    _undecided: bool = False
    version: str = "1.0"
    header_plus: bytes = b""
    headers_finished: bool = False
    expect_continue: bool = False

    def __init__(self, adj: Any, intake: BodyAdmission = NO_LIMIT) -> None:
        # PERF: Waitress' own does just this.
        self.headers = {}
        self.adj = adj
        self.intake = intake

    def received(self, data: bytes) -> int:
        """Take bytes; the number taken."""
        if self.completed:
            return 0
        if self.headers_finished:
            return self._receive_body(data)
        held = begin = 0
        seen = data
        if self.header_plus:
            held = len(self.header_plus)
            begin = max(held - 3, 0)
            seen = self.header_plus + data
        end = seen.find(HEAD_END, begin) + 4
        if end < 4:
            self._keep_head(seen)
            return len(data)
        if held:
            self.header_plus = b""
        self.headers_finished = True
        try:
            return self._read_head(seen, end) - held
        except ParseError as error:
            # Without its traceback, which holds this parser.
            self._refuse(error.with_traceback(None))
            return end - held

    # What Waitress and logs read of a request line.

    @property
    def command(self) -> str:
        """The method."""
        return self.line.method

    @property
    def path(self) -> str:
        """The path, unquoted."""
        return self.line.path

    @property
    def query(self) -> str:
        """What follows the question mark."""
        return self.line.query

    def whole_body(self) -> bytes:
        """The body, all of it, without its framing."""
        return self.body if self.body_rcv is None else self.body_rcv.getfile().getvalue()

    def get_body_stream(self) -> BytesIO:
        """The body as a file, which WSGI wants."""
        return BytesIO(self.body) if self.body_rcv is None else self.body_rcv.getfile()

    def refuse_late(self) -> None:
        """Refuse what has come until now: the client was too slow (408)."""
        self._refuse(ParseError(408, "it took too long to arrive"))

    def _keep_head(self, seen: bytes) -> None:
        """Keep the part of a head that has come, if it may still become one."""
        self.header_plus = seen
        limit = self.adj.max_request_header_size
        if len(seen) >= limit:
            self._refuse(ParseError(431, f"more than {limit} bytes"))

    def _read_head(self, seen: bytes, end: int) -> int:
        """Read the head, ``seen[:end]``, and the body if all of it is there; the bytes taken.

        Raises :class:`ParseError`; what was read until then is there for the log.
        """
        adj = self.adj
        if end >= adj.max_request_header_size:
            raise ParseError(431, f"more than {adj.max_request_header_size} bytes")
        # A client may send an empty line after a request (RFC 9112, 2.2); other blanks it may not.
        lines = seen[: end - 4].removeprefix(b"\r\n").split(b"\r\n")
        first = lines.pop(0)
        if not first:
            self.empty = self.completed = True
            return end
        self.line = line = remembered_lines.get(first) or read_line(first)
        self.version = version = line.version
        headers = self.headers
        read_fields(lines, headers)
        length = body_length(version, headers)
        if "HTTP_CONNECTION" in headers or version == "1.0":
            self.connection_close = ends_connection(version, headers.get("HTTP_CONNECTION", ""))
        if 0 <= length <= len(seen) - end and length < adj.max_request_body_size:
            end += length
            if length:
                self.body = seen[end - length : end]
                self.content_length = self.body_bytes_received = length
            self.completed = True
            self.whole = end == len(seen)
            return end
        return self._expect_body(length, seen, end)

    def _expect_body(self, length: int, seen: bytes, end: int) -> int:
        """Go on with a body that is still to come, if it may; how much of ``seen`` is taken."""
        headers = self.headers
        limit = self.adj.max_request_body_size  # what reaches it is refused
        if length == CHUNKED:
            del headers["HTTP_TRANSFER_ENCODING"]  # it is undone before the application sees it
            self.chunked = True
            self.body_rcv = ChunkedBody(limit - 1)
        elif length >= limit:
            raise ParseError(413, f"more than {limit - 1} bytes")
        else:
            self.content_length = length
            self.body_rcv = SizedBody(length)
        if self.version == "1.1":
            self.expect_continue = headers.get("HTTP_EXPECT", "").lower() == "100-continue"
        self._judge_head()
        return len(seen) if self.unread else end

    def hold(self, size: int) -> bool:
        """Whether ``size`` bytes more may be held for this request, until it is over."""
        return self.intake.reserve(self, size)

    def release(self) -> None:
        """Nothing is held for this request any more. Idempotent."""
        if self.reserved:
            self.intake.release(self)

    def forget(self) -> None:
        """Let go of headers and body: the application has seen them."""
        self.headers = {}
        self.body = b""
        self.body_rcv = None

    def close(self) -> None:
        """The request is over."""
        self.forget()
        self.release()

    def _judge_head(self) -> None:
        """Decide on a body that is still to come; again while the keys are being looked at."""
        taken_in = self.intake.reads_body(self.command, self.path, self.headers)
        self._undecided = taken_in is None
        if taken_in is False:
            self.unread = self.connection_close = True
            self._complete_without_body()
        elif not self.intake.has_room(self.content_length - self.reserved):
            self._refuse(ParseError(503, NO_ROOM))

    def _receive_body(self, data: bytes) -> int:
        if self._undecided:
            self._judge_head()
        body = self.body_rcv
        if self.completed or body is None:
            return len(data)
        limit = self.adj.max_request_body_size
        taken = body.received(data)
        self.body_bytes_received += taken
        if body.error is not None:
            self._refuse(body.error)
        elif self.reserved < len(body) and not self.hold(len(body) - self.reserved):
            self._refuse(ParseError(503, NO_ROOM))
        elif self.body_bytes_received >= limit + max(limit, LEAST_FRAMING):
            self._refuse(ParseError(413, "its chunks are too small for its size"))
        elif body.completed:
            self.completed = True
            self.expect_continue = False  # all is here: there is nothing to go on with
            if self.chunked:  # for the application it is a body like any other
                self.headers["CONTENT_LENGTH"] = str(len(body))
        return taken

    def _refuse(self, error: ParseError) -> None:
        self.error = error
        self.header_plus = b""
        self._complete_without_body()

    def _complete_without_body(self) -> None:
        self.body_rcv = None
        self.release()
        self.completed = True
        self.expect_continue = False
