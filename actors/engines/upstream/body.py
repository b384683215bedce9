"""What becomes of an upstream's answer: a stream, a whole answer, a refusal, or a sign of life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, cast

from actors.engines.contract import Sink
from actors.engines.error_object import is_error
from actors.engines.errors import AnswerTooLong, EngineUnavailable
from actors.engines.lenient_json import Undecodable, decode
from actors.engines.refusals import error_of_answer, error_of_object
from actors.engines.sse.frames import MAX_EVENT_BYTES
from actors.engines.upstream.stream import StreamRelay

__all__ = ["Body", "Refusal", "SignOfLife", "Stream", "Whole", "body_for"]

# Bytes of a unary answer, in one piece or folded, that are held in memory: as many as one event.
_MAX_ANSWER: Final = MAX_EVENT_BYTES
# Bytes of a read that are joined with the last ones.
_SMALL_PIECE: Final = 512
# Bytes of an error that are read; a line of them is shown.
_MAX_ERROR: Final = 64 * 1024

_TOO_LONG: Final = "the upstream's answer is too long"


class Body(Protocol):
    """Takes the body of one answer; its methods raise the ``EngineError`` that ends it."""

    @property
    def done(self) -> bool:
        """Whether nothing more is needed, even if the answer goes on."""
        ...

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; tell whether they were output (a comment is none)."""
        ...

    def end(self) -> None:
        """It is whole: end the sink."""
        ...


class Stream:
    """An event stream, pushed as it comes; bounded where it is folded (not ``raw``) in memory."""

    __slots__ = ("_raw", "_relay", "_sink", "_size")

    def __init__(self, sink: Sink, *, raw: bool, choices: int = 0, prefill: str = "") -> None:
        self._sink = sink
        self._raw = raw
        self._size = 0
        self._relay = StreamRelay(sink, raw=raw, choices=choices, prefill=prefill)

    @property
    def done(self) -> bool:
        """See :class:`Body`."""
        return self._relay.done

    def feed(self, data: bytes) -> bool:
        """See :class:`Body`."""
        if not self._raw:
            self._size += len(data)
            if self._size > _MAX_ANSWER:
                raise AnswerTooLong(_TOO_LONG)
        return self._relay.feed(data)

    def end(self) -> None:
        """See :class:`Body`."""
        self._relay.end()
        self._sink.finish()


class Whole:
    """A unary answer, passed through as it is once it is complete and looks like one."""

    __slots__ = ("_pieces", "_sink", "_size", "done")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pieces: list[bytes | bytearray] = []
        self._size = 0
        self.done = False

    def feed(self, data: bytes) -> bool:
        """See :class:`Body`."""
        # NOTE: an object each would be several times as long as what a trickle brings.
        if self._pieces and len(data) < _SMALL_PIECE:
            last = self._pieces[-1]
            if isinstance(last, bytearray):
                last += data
            else:
                self._pieces.append(bytearray(data))
        else:
            self._pieces.append(data)
        self._size += len(data)
        if self._size > _MAX_ANSWER:
            raise AnswerTooLong(_TOO_LONG)
        return True

    def end(self) -> None:
        """See :class:`Body`."""
        self._sink.answer(_checked(b"".join(self._pieces)))


class Refusal:
    """Another status than 200, or a document where a stream was asked for: the error it means."""

    __slots__ = ("_body", "_headers", "_status", "done")

    def __init__(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self._status = status
        self._headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in headers.items()}
        self._body = b""
        self.done = False

    def feed(self, data: bytes) -> bool:
        """See :class:`Body`."""
        self._body += data
        self.done = len(self._body) >= _MAX_ERROR
        return True

    def end(self) -> None:
        """See :class:`Body`."""
        if self._status == 200:
            _checked(self._body)
            raise EngineUnavailable("the upstream was asked for a stream and sent none")
        raise error_of_answer(self._status, self._headers, self._body)


class SignOfLife:
    """An answer of which only matters that it came; what it says may be anything."""

    __slots__ = ("_sink", "_size", "done")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._size = 0
        self.done = False

    def feed(self, data: bytes) -> bool:
        """See :class:`Body`."""
        self._size += len(data)
        self.done = self._size >= _MAX_ERROR
        return True

    def end(self) -> None:
        """See :class:`Body`."""
        self._sink.finish()


def body_for(
    status: int,
    headers: Mapping[bytes, bytes],
    sink: Sink,
    *,
    stream: bool,
    raw: bool,
    probe: bool = False,
    choices: int = 0,
    prefill: str = "",
) -> Body:
    """Who takes the body after this head; ``choices`` and ``prefill`` are those of ``Ask``.

    A ``probe`` is content with whatever is no failure of the server's own. Raises
    ``EngineUnavailable`` for what it was asked not to be: compressed.
    """
    if probe and status // 100 in (2, 4):
        return SignOfLife(sink)
    if status != 200:
        return Refusal(status, headers)
    if _compressed(headers):
        raise EngineUnavailable("the upstream's answer is compressed, which it was asked not to be")
    if not stream:
        return Whole(sink)
    if headers.get(b"content-type", b"").lower().startswith(b"application/json"):
        return Refusal(status, headers)
    return Stream(sink, raw=raw, choices=choices, prefill=prefill)


def _compressed(headers: Mapping[bytes, bytes]) -> bool:
    """Whether any coding was applied; the header may be empty, or a list (RFC 9110, 8.4)."""
    codings = headers.get(b"content-encoding")
    if codings is None:
        return False
    return any(each.strip().lower() not in (b"", b"identity") for each in codings.split(b","))


def _checked(body: bytes) -> bytes:
    """``body``, if it is an answer: some servers send an error, or a page, with status 200."""
    try:
        answer: object = decode(body)
    except Undecodable as error:
        raise EngineUnavailable("the upstream's answer is not JSON") from error
    if not isinstance(answer, dict):
        raise EngineUnavailable("the upstream's answer is not a completion")
    if is_error(cast("dict[str, Any]", answer)):
        raise error_of_object(cast("object", answer))
    return body
