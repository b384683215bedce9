"""A request's body while it arrives: in memory, never in a file, and refused as early as can be.

Both classes are what Waitress calls a receiver, and its parser's ``body_rcv``: ``received`` takes
bytes and answers how many belong to the body; then ``completed`` or ``error`` may be set.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto
from io import BytesIO
from typing import Final

from http_service.server.request_head import ParseError

__all__ = ["ChunkedBody", "SizedBody"]

SIZE_LINE_LIMIT: Final = 256
"""Bytes of a chunk's size and its extensions, which clients don't send."""

TRAILER_LIMIT: Final = 4096
"""Bytes of trailer fields; they are read and dropped."""

CRLF: Final = b"\r\n"

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_QUOTED: Final = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"'
_EXTENSION: Final = rb";%b(?:=(?:%b|%b))?" % (_TOKEN, _TOKEN, _QUOTED)
_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:%b)*" % _EXTENSION)
_TRAILER: Final = re.compile(rb"%b:[\t\x20-\x7e\x80-\xff]*" % _TOKEN)


class SizedBody:
    """A body of ``length`` bytes."""

    error: ParseError | None = None

    def __init__(self, length: int) -> None:
        self.remain: int = length
        self.completed = False
        self._length = length
        self._file = BytesIO()

    def __len__(self) -> int:
        return self._length - self.remain

    def received(self, data: bytes) -> int:
        """Take bytes; the number taken."""
        taken = min(len(data), self.remain)
        part = data if taken == len(data) else data[:taken]
        if self.remain == taken and not self._file.tell():
            self._file = BytesIO(part)  # the whole body at once: not copied
        else:
            self._file.write(part)
        self.remain -= taken
        self.completed = not self.remain
        return taken

    def getfile(self) -> BytesIO:
        """The body, from its begin."""
        self._file.getvalue()  # trims the buffer, so that reading all of it copies nothing
        self._file.seek(0)
        return self._file

    def getbuf(self) -> BytesIO:
        """What to close when the request is over."""
        return self._file


class _Part(Enum):
    SIZE = auto()
    DATA = auto()
    END = auto()
    TRAILER = auto()


class ChunkedBody:
    """A body in chunks, of at most ``limit`` bytes: a chunk that would pass it is refused when its
    size is read, before its data comes.

    Chunk extensions and trailers are read and dropped.
    """

    def __init__(self, limit: int) -> None:
        self.completed = False
        self.error: ParseError | None = None
        self._limit = limit
        self._file = BytesIO()
        self._size = 0
        self._remain = 0
        self._line = b""
        self._trailer_size = 0
        self._part = _Part.SIZE

    def __len__(self) -> int:
        return self._size

    def received(self, data: bytes) -> int:
        """Take bytes; the number taken."""
        position = 0
        while position < len(data) and not self.completed and self.error is None:
            if self._part is _Part.DATA:
                position = self._take_data(data, position)
            else:
                position = self._take_line(data, position)
        return position

    def getfile(self) -> BytesIO:
        """The body, from its begin."""
        self._file.getvalue()  # trims the buffer, so that reading all of it copies nothing
        self._file.seek(0)
        return self._file

    def getbuf(self) -> BytesIO:
        """What to close when the request is over."""
        return self._file

    def _take_data(self, data: bytes, position: int) -> int:
        end = min(len(data), position + self._remain)
        self._file.write(memoryview(data)[position:end])
        self._remain -= end - position
        self._size += end - position
        if not self._remain:
            self._part = _Part.END
        return end

    def _take_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\n", position) + 1
        line = self._line + data[position : end or len(data)]
        self._line = line
        at_end = self._part is _Part.END
        if len(line) > _LINE_LIMITS[self._part] or (at_end and not CRLF.startswith(line)):
            self.error = ParseError(400, "a chunk is malformed")
        elif end:
            self._line = b""
            if line.endswith(CRLF):
                _ON_LINE[self._part](self, line[:-2])
            else:
                self.error = ParseError(400, "a chunk is malformed")
        return end or len(data)

    def on_size(self, line: bytes) -> None:
        """A chunk begins; one of no bytes ends the body."""
        match = _SIZE.fullmatch(line)
        if match is None:
            self.error = ParseError(400, "the size of a chunk is malformed")
            return
        self._remain = int(match[1], 16)
        self._part = _Part.DATA if self._remain else _Part.TRAILER
        if self._size + self._remain > self._limit:
            self.error = ParseError(413, "the body exceeds the limit")

    def on_end(self, line: bytes) -> None:
        """A chunk's data is over."""
        self._part = _Part.SIZE
        if line:
            self.error = ParseError(400, "a chunk is longer than it said")

    def on_trailer(self, line: bytes) -> None:
        """One trailer field, or the empty line that ends them all."""
        self._trailer_size += len(line)
        if not line:
            self.completed = True
        elif self._trailer_size > TRAILER_LIMIT or not _TRAILER.fullmatch(line):
            self.error = ParseError(400, "a trailer is malformed")


_LINE_LIMITS: Final = {_Part.SIZE: SIZE_LINE_LIMIT, _Part.END: 2, _Part.TRAILER: TRAILER_LIMIT}

_ON_LINE: Final[dict[_Part, Callable[[ChunkedBody, bytes], None]]] = {
    _Part.SIZE: ChunkedBody.on_size,
    _Part.END: ChunkedBody.on_end,
    _Part.TRAILER: ChunkedBody.on_trailer,
}
