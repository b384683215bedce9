"""Reads HTTP answers strictly and says whether every byte is as it must be; pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final, cast

from tests.faults.evidence import OK

__all__ = ["Answer", "Broken", "Question", "judged", "read_answer"]

_STATUS: Final = re.compile(rb"HTTP/1\.1 (\d{3}) [ -~]*")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t -~]*)")
_CHUNK: Final = re.compile(rb"([0-9A-Fa-f]+)\r\n")
ERROR_FIELDS: Final = {"message", "type", "param", "code"}


class Broken(ValueError):
    """Bytes that no HTTP answer, or no OpenAI answer, may hold; the text says which."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked: an echo must say ``text``; ``None`` lets any text pass."""

    model: str
    stream: bool
    text: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer; ``size`` is how many bytes of the buffer it took."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    size: int

    @property
    def closes(self) -> bool:
        """Whether the connection can't be used again."""
        return self.headers.get(b"connection", b"").lower() == b"close"


def read_answer(buffer: bytes) -> Answer | None:
    """The first answer in ``buffer``; ``None`` while it is not all there. Raises Broken."""
    head, blank, rest = buffer.partition(b"\r\n\r\n")
    if not blank:
        return None
    status, headers = _read_head(head)
    start = len(head) + 4
    if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
        chunked = _read_chunks(rest)
        if chunked is None:
            return None
        body, used = chunked
        return Answer(status, headers, body, start + used)
    length = int(headers.get(b"content-length", b"0"))
    if len(rest) < length:
        return None
    return Answer(status, headers, rest[:length], start + length)


def judged(question: Question, answer: Answer) -> str:
    """``ok``, ``status N`` for a proper error, or ``wrong: …``."""
    try:
        if answer.status != 200:
            _check_error(answer.body)
            return f"status {answer.status}"
        if question.stream:
            return _judge_stream(question, answer.body)
        _check_text(question, _unary_text(question, _object(answer.body)))
    except Broken as broken:
        return f"wrong: {broken}"
    return OK


def _judge_stream(question: Question, body: bytes) -> str:
    events = body.split(b"\n\n")
    if events.pop() != b"":
        raise Broken("a stream does not end with a blank line")
    data = [_data_of(event) for event in events if not event.startswith(b":")]
    if not data or data.pop() != b"[DONE]":
        raise Broken("a stream does not end with [DONE]")
    text = ""
    for number, each in enumerate(data):
        chunk = _object(each)
        if "error" in chunk:
            if number == 0:
                raise Broken("a stream that begins with an error should have been a status")
            _check_error(each)
            return f"error event {chunk['error']['code']}"
        text += _chunk_text(question, chunk)
    _check_text(question, text)
    return OK


def _data_of(event: bytes) -> bytes:
    if not event.startswith(b"data: ") or b"\n" in event:
        raise Broken(f"{event[:40]!r} is no event")
    return event[6:]


def _object(data: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(data, parse_constant=_no_constant)
    except ValueError as error:
        raise Broken(f"{data[:40]!r} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise Broken("an answer is no JSON object")
    return cast("dict[str, Any]", found)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _unary_text(question: Question, answer: dict[str, Any]) -> str:
    _check_head(question, answer, "chat.completion")
    try:
        (choice,) = answer["choices"]
        if choice["finish_reason"] is None:
            raise Broken("a whole answer has no finish_reason")
        return str(choice["message"]["content"])
    except (KeyError, TypeError, ValueError) as error:
        raise Broken(f"an answer of another shape: {error!r}") from None


def _chunk_text(question: Question, chunk: dict[str, Any]) -> str:
    _check_head(question, chunk, "chat.completion.chunk")
    try:
        return "".join(str(c["delta"].get("content") or "") for c in chunk["choices"])
    except (KeyError, TypeError, AttributeError) as error:
        raise Broken(f"a chunk of another shape: {error!r}") from None


def _check_head(question: Question, found: dict[str, Any], kind: str) -> None:
    if found.get("object") != kind:
        raise Broken(f"object is {found.get('object')!r}")
    if found.get("model") != question.model:
        raise Broken(f"model is {found.get('model')!r}")


def _check_text(question: Question, text: str) -> None:
    if question.text is not None and text != question.text:
        raise Broken(f"{text[:40]!r} answers {question.text[:40]!r}")


def _check_error(body: bytes) -> None:
    error = _object(body).get("error")
    if not isinstance(error, dict) or set(cast("dict[str, Any]", error)) != ERROR_FIELDS:
        raise Broken(f"{body[:40]!r} is no error in OpenAI's shape")


def _read_head(head: bytes) -> tuple[int, dict[bytes, bytes]]:
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise Broken(f"{first[:40]!r} is no status line")
    fields = [_FIELD.fullmatch(line) for line in lines]
    if None in fields:
        raise Broken("a header line that is none")
    return int(status[1]), {each[1].lower(): each[2] for each in fields if each is not None}


def _read_chunks(rest: bytes) -> tuple[bytes, int] | None:
    """The body and how many bytes it took, of the chunked coding; ``None`` if not all there."""
    body, at = bytearray(), 0
    while True:
        size = _CHUNK.match(rest, at)
        if size is None:
            if b"\r\n" in rest[at : at + 12]:
                raise Broken(f"{rest[at : at + 12]!r} is no chunk size")
            return None
        length, start = int(size[1], 16), size.end()
        end = start + length
        if len(rest) < end + 2:
            return None
        if rest[end : end + 2] != b"\r\n":
            raise Broken("a chunk does not end where it said")
        body += rest[start:end]
        at = end + 2
        if length == 0:
            return bytes(body), at
