"""Read HTTP/1.1 answers from bytes: strict, bounded, pure.

The grammar is llhttp's (node's parser, through httptools, a C library), which refuses what is
ambiguous: a bare LF, two lengths, a length beside a transfer encoding, data after the last answer.
What it leaves open is decided here: how long a head may be, that 1xx heads are skipped, that an
answer without a length ends with its connection, and whether the connection may be used again.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

__all__ = ["AnswerReader", "BadAnswer"]

# Bytes of a head, those of skipped 1xx heads included; real ones have a few hundred.
_MAX_HEAD: Final = 65_536

# Bytes of a body's framing (sizes of chunks, their extensions, trailers) that may come without a
# byte of the body; and how many each byte of it allows for: the smallest chunk has five.
_MAX_FRAMING: Final = 65_536
_FRAMING_PER_BYTE: Final = 16
_EARNED: Final = 1 + _FRAMING_PER_BYTE

_NO_BODY: Final = frozenset({204, 304})


class BadAnswer(Exception):
    """What arrived is no HTTP/1.1 answer, or one that nobody needs."""


class AnswerReader:
    """The answers of one connection, one after the other; :meth:`begin` before each.

    ``status`` and ``headers`` (names in lower case) are valid once ``has_head`` is set.
    """

    __slots__ = (
        "_allowance", "_head_bytes", "_parser", "_pieces", "_until_close",
        "complete", "error", "has_head", "headers", "reusable", "status",
    )  # fmt: skip

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self.begin()

    def begin(self) -> None:
        """Expect the next answer."""
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.has_head = False
        self.complete = False
        """Whether the whole answer was read."""
        self.reusable = False
        """Whether the connection may be used again; meaningful once ``complete``."""
        self.error: BadAnswer | None = None
        """Why what arrived last can't be read; it is not worth to feed more."""
        self._until_close = False
        self._head_bytes = 0
        self._allowance = _MAX_FRAMING
        self._pieces: list[bytes] = []

    def feed(self, data: bytes) -> None:
        """Read ``data``; never raises: see :attr:`error`."""
        if not self.has_head:
            self._head_bytes += len(data)
        elif self._allowance >= 0:
            self._allowance -= len(data)
        else:
            self.error = BadAnswer("the answer's body consists of framing")
            return
        try:
            if self._parser is not None:
                self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            # What follows a complete answer spoils the connection, not the answer.
            self.reusable = False
            if not self.complete:
                self.error = BadAnswer("the answer is no HTTP/1.1")
                self.error.__cause__ = error
        if not self.has_head and self._head_bytes > _MAX_HEAD and self.error is None:
            self.error = BadAnswer(f"the answer's head is longer than {_MAX_HEAD} bytes")

    def end(self) -> None:
        """The connection ended; that completes an answer without a length."""
        if self.has_head and self._until_close and self.error is None:
            self.complete = True
        self.reusable = False

    def take(self) -> bytes:
        """What was read of the body since the last call."""
        pieces = self._pieces
        if not pieces:
            return b""
        self._pieces = []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        # PERF: for each read; ``min`` would cost as much as all the rest.
        allowance = self._allowance + _EARNED * len(body)
        self._allowance = allowance if allowance < _MAX_FRAMING else _MAX_FRAMING  # noqa: FURB136
        return body

    def close(self) -> None:
        """Let go of the parser, which refers back to this reader."""
        self._parser = None

    # What the parser calls, from within feed().

    def on_message_begin(self) -> None:
        """A head begins; a second one after the answer spoils the connection."""
        if self.complete:
            self.reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which nobody needs."""
        if not self.has_head:
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The head is read; that of a 1xx is skipped."""
        if self.has_head or self._parser is None:
            return
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = {}
            return
        self.status = status
        self.has_head = True
        self._until_close = status not in _NO_BODY and not _has_length(self.headers)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if not self.complete:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        """The answer's last byte was read (or that of a 1xx head, or of what came too much)."""
        if self.complete:
            self.reusable = False
        elif self.has_head and self._parser is not None:
            self.complete = True
            self.reusable = self._parser.should_keep_alive()


def _has_length(headers: dict[bytes, bytes]) -> bool:
    encoding = headers.get(b"transfer-encoding")
    if encoding is None:
        return b"content-length" in headers
    return encoding.rpartition(b",")[2].strip().lower() == b"chunked"
