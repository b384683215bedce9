"""Reads one HTTP answer as it comes, and judges it: a short stream is a failure, never a success.

No networking in here. Tokens are recognised by a mark, one byte that stands in every token's text
and nowhere else, so that the verdict is the same whichever way a gateway frames, joins or rewrites
what it passes on. A stamped token carries, after its mark, the moment at which it was made.
"""

from __future__ import annotations

from typing import Final

__all__ = ["MARK", "STAMP_WIDTH", "Answer", "stamp"]

MARK: Final = b"@"
"""Stands once in each token's text."""

STAMP_WIDTH: Final = 17
"""Characters of a stamp: seconds on the monotonic clock, which all processes share."""

_DONE: Final = b"data: [DONE]"
_HEAD_LIMIT: Final = 64 * 1024


def stamp(now: float) -> bytes:
    """The text of a token that is made at ``now``: mark, stamp, a space."""
    return b"@%017.6f " % now


class Answer:
    """One answer; bytes in, verdict out.

    ``added`` gets, for each stamped token, the seconds from its stamp to the ``now`` of the
    :meth:`feed` that brought it.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_left",
        "_raw",
        "_stamped",
        "added",
        "broken",
        "complete",
        "events",
        "first",
        "keep_alive",
        "last",
        "marks",
        "status",
    )

    def __init__(self, *, stamped: bool = False) -> None:
        self._stamped = stamped
        self._raw = b""
        self._body = b""
        self._chunked = False
        self._left: int | None = None
        self.status = 0
        """The HTTP status; 0 before the head is complete."""
        self.keep_alive = True
        self.complete = False
        """Whether the answer has ended as its framing says."""
        self.broken = ""
        """What is wrong with the framing; empty for nothing."""
        self.marks = 0
        """Tokens so far."""
        self.events = 0
        """Server-sent events so far, ``[DONE]`` included; comments are none."""
        self.first = 0.0
        """When the first token came; 0 before that."""
        self.last = b""
        """The last complete event."""
        self.added: list[float] = []

    def feed(self, data: bytes, now: float) -> bool:
        """Take what was received at ``now``; answer whether that was the end, good or bad."""
        raw = self._raw + data if self._raw else data
        if not self.status:
            end = raw.find(b"\r\n\r\n")
            if end < 0:
                self._raw = raw
                return len(raw) > _HEAD_LIMIT and self._break("a head without an end")
            self._read_head(raw[:end])
            raw = raw[end + 4 :]
        if self.broken:
            return True
        if self._chunked:
            self._raw = self._read_chunks(raw, now)
        else:
            self._read_plain(raw, now)
        return self.complete or bool(self.broken)

    def end(self) -> None:
        """The connection ended: completes an answer that has neither length nor chunks."""
        if self.status and not self._chunked and self._left is None and not self.broken:
            self.complete = True
        elif not self.complete:
            self._break("the connection ended inside the answer" if self.status else "no answer")

    def verdict(self, marks: int, *, stream: bool, status: int = 200) -> str:
        """Empty for an answer as it should be, else what is wrong with it, in a few words."""
        if self.broken:
            return self.broken
        if not self.complete:
            return "not finished"
        if self.status != status:
            return f"status {self.status}"
        if self.marks != marks:
            return f"{self.marks} of {marks} tokens"
        if stream and self.last != _DONE:
            return "no [DONE] at the end"
        return ""

    def _break(self, reason: str) -> bool:
        self.broken = reason
        return True

    def _read_head(self, head: bytes) -> None:
        lines = head.lower().split(b"\r\n")
        fields = dict(line.split(b":", 1) for line in lines[1:] if b":" in line)
        try:
            self.status = int(lines[0].split(b" ", 2)[1])
            length = fields.get(b"content-length")
            self._left = None if length is None else int(length)
        except (IndexError, ValueError):
            self._break(f"not an HTTP head: {head[:60]!r}")
            return
        self._chunked = b"chunked" in fields.get(b"transfer-encoding", b"")
        connection = fields.get(b"connection", b"")
        default = lines[0].startswith(b"http/1.1")
        framed = self._chunked or self._left is not None
        self.keep_alive = framed and (
            b"close" not in connection and (default or b"keep-alive" in connection)
        )

    def _read_plain(self, raw: bytes, now: float) -> None:
        self._raw = b""
        if self._left is not None:
            self._left -= len(raw)
            self.complete = self._left == 0
            if self._left < 0:
                self._break("more bytes than its content-length")
        self._take(raw, now)

    def _read_chunks(self, raw: bytes, now: float) -> bytes:
        """Decode what is complete of ``raw``; return the rest."""
        position = 0
        payloads: list[bytes] = []
        while not self.complete:
            line = raw.find(b"\r\n", position)
            if line < 0:
                break
            size = _size(raw[position:line])
            after = line + 2 + size
            if size < 0:
                self._break(f"not a chunk size: {raw[position:line][:20]!r}")
                break
            if len(raw) < after + 2:
                break
            if not raw.startswith(b"\r\n", after):
                self._break("a chunk that is longer than its size")
                break
            if size:
                payloads.append(raw[line + 2 : after])
            else:
                self.complete = True
            position = after + 2
        if payloads:
            self._take(payloads[0] if len(payloads) == 1 else b"".join(payloads), now)
        rest = raw[position:]
        if self.complete and rest:
            self._break("bytes after the end of the answer")
        return rest

    def _take(self, payload: bytes, now: float) -> None:
        """Count the tokens and events of a piece of the body."""
        found = payload.count(MARK)
        if found and not self.marks:
            self.first = now
        self.marks += found
        blocks = (self._body + payload).split(b"\n\n")
        self._body = blocks.pop()
        for block in blocks:
            if block.startswith(b"data:"):
                self.events += 1
                self.last = block
                if self._stamped:
                    self._measure(block, now)

    def _measure(self, block: bytes, now: float) -> None:
        for part in block.split(MARK)[1:]:
            self.added.append(now - float(part[:STAMP_WIDTH]))


def _size(line: bytes) -> int:
    """What a chunk's first line says; -1 for nonsense."""
    try:
        return int(line, 16)
    except ValueError:
        text = line.split(b";", 1)[0]  # an extension, which nobody sends
    try:
        return int(text, 16)
    except ValueError:
        return -1
