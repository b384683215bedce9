"""What becomes of an upstream's response: a stream, a whole answer, a refusal, a sign of life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec
import orjson

from actors.engines.contract import Sink
from actors.engines.dialect import Dialect, Native
from actors.engines.error_object import ERROR_MEMBERS, is_error
from actors.engines.errors import AnswerTooLong, EngineUnavailable
from actors.engines.lenient_json import DICT, Undecodable, decode
from actors.engines.refusals import error_of_answer, error_of_object
from actors.engines.sse import MAX_EVENT_BYTES

__all__ = [
    "DOCUMENT",
    "MEDIA_ANSWER",
    "STREAM",
    "UNARY",
    "Document",
    "Expected",
    "NativeWhole",
    "Refusal",
    "Response",
    "SignOfLife",
    "Whole",
    "checked",
]

# Bytes of a unary answer, in one piece or folded, that are held in memory: as many as one event.
_MAX_ANSWER: Final = MAX_EVENT_BYTES
# Bytes of a read that are joined with the last ones.
_SMALL_PIECE: Final = 512
# Bytes of an error that are read; a line of them is shown.
_MAX_ERROR: Final = 64 * 1024

_TOO_LONG: Final = "the upstream's answer is too long"


class Response(Protocol):
    """Takes the body of one response; its methods raise the ``EngineError`` that ends it."""

    done: bool
    """Whether nothing more is needed, even if the response goes on."""

    def feed(self, data: bytes) -> bool:
        """Take the next bytes; tell whether they were output (a comment is none)."""
        ...

    def end(self) -> None:
        """It is whole: end the sink."""
        ...


@dataclass(frozen=True, slots=True)
class Expected:
    """The response that was asked for.

    ``document``: any JSON answer, see :class:`Document`. ``media``: an answer of any type.
    ``stream``: an event stream, else a whole answer. ``raw``: a stream's bytes are pushed, else its
    chunk objects. ``probe``: any 2xx or 4xx will do. ``choices``: how many are wanted of each
    prompt, 0 if the whole answer is one choice. ``prefill``: what llama.cpp is expected to leave
    out at the beginning (see ``llama_dialect``). ``dialect``: it is in that one, as it is.
    """

    stream: bool = False
    raw: bool = False
    document: bool = False
    media: bool = False
    probe: bool = False
    choices: int = 0
    prefill: str = ""
    dialect: Dialect | None = None


# PERF: what nearly every request expects is made once.
UNARY: Final = Expected()
"""A whole answer, passed on as it is."""
STREAM: Final = Expected(stream=True, raw=True)
"""A stream of one choice, passed on as it is."""
DOCUMENT: Final = Expected(document=True)
"""The answer of a kind that does not generate, passed on as it is."""
MEDIA_ANSWER: Final = Expected(media=True)
"""The answer of a kind that may answer with media, passed on as it comes."""


class Whole:
    """A unary answer, passed through as it is once it is complete and looks like one."""

    __slots__ = ("_pieces", "_sink", "_size", "done")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._pieces: list[bytes | bytearray] = []
        self._size = 0
        self.done = False

    def feed(self, data: bytes) -> bool:
        """See :class:`Response`."""
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
        """See :class:`Response`."""
        self._sink.answer(self._answer(checked(b"".join(self._pieces))))

    def _answer(self, body: bytes) -> bytes:
        return body


class NativeWhole(Whole):
    """A unary answer in the dialect of the request's original."""

    __slots__ = ()

    def _answer(self, body: bytes) -> bytes:
        return Native(body)


class Document(Whole):
    """Any JSON answer of any length, a list too (SGLang's of a rerank), passed through likewise."""

    __slots__ = ()

    def end(self) -> None:
        """See :class:`Response`."""
        self._sink.answer(_checked_document(b"".join(self._pieces)))


_MEMBERS: Final = msgspec.json.Decoder(
    msgspec.defstruct("_Members", [(name, Any, None) for name in ERROR_MEMBERS])
)
"""Reads what tells an error object from an answer, and nothing else."""
_SYNTAX: Final = msgspec.json.Decoder(msgspec.Raw)


def _checked_document(body: bytes) -> bytes:
    """``body``, if it is JSON and no error object.

    PERF: no value of it is made: a batch of embeddings is a million numbers.
    """
    try:
        if body.lstrip()[:1] != b"{":
            _SYNTAX.decode(body)
            return body
        members: Any = msgspec.to_builtins(_MEMBERS.decode(body))
    except msgspec.DecodeError:
        members = _decoded(body)  # NaN is no JSON, but some servers write it
    if isinstance(members, DICT) and is_error(members):
        raise error_of_object(members)
    return body


def checked(body: bytes) -> bytes:
    """``body``, if it is an answer: some servers send an error, or a page, with status 200."""
    if len(body) > _MAX_ANSWER:
        raise AnswerTooLong(_TOO_LONG)
    try:
        answer: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = _decoded(body)
    if not isinstance(answer, DICT):
        raise EngineUnavailable("the upstream's answer is not a completion")
    # PERF: what most answers have and have not is looked at here.
    if "choices" in answer and "error" not in answer and answer.get("object") != "error":
        return body
    if is_error(answer):
        raise error_of_object(answer)
    return body


def _decoded(body: bytes) -> Any:
    try:
        return decode(body)
    except Undecodable as error:
        raise EngineUnavailable("the upstream's answer is not JSON") from error


class Refusal:
    """Another status than 200, or a document where a stream was asked for: the error it means."""

    __slots__ = ("_body", "_headers", "_status", "done")

    def __init__(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        self._status = status
        self._headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in headers.items()}
        self._body = b""
        self.done = False

    def feed(self, data: bytes) -> bool:
        """See :class:`Response`."""
        self._body += data
        self.done = len(self._body) >= _MAX_ERROR
        return True

    def end(self) -> None:
        """See :class:`Response`."""
        if self._status == 200:
            checked(self._body)
            raise EngineUnavailable("the upstream was asked for a stream and sent none")
        raise error_of_answer(self._status, self._headers, self._body)


class SignOfLife:
    """A response of which only matters that it came; what it says may be anything."""

    __slots__ = ("_sink", "_size", "done")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._size = 0
        self.done = False

    def feed(self, data: bytes) -> bool:
        """See :class:`Response`."""
        self._size += len(data)
        self.done = self._size >= _MAX_ERROR
        return True

    def end(self) -> None:
        """See :class:`Response`."""
        self._sink.finish()
