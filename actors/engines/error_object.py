"""Reads error documents of any server. Pure, never raises; every text is bounded and one line.

Shapes of the field: OpenAI's ``{"error": {...}}``, older vLLM's ``{"object": "error", ...}``,
FastAPI's ``{"detail": ...}``, TGI's and Ollama's ``{"error": "..."}``, Google's list of one,
problem details (RFC 9457), ``{"errors": [...]}``, ``{"message": ..., "code": ...}``, plain text.

SECURITY: what is read here comes from another server and may reach a client: control characters,
terminal escapes and bidirectional overrides are taken out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from actors.engines.lenient_json import Undecodable, decode

__all__ = ["ERROR_MEMBERS", "ErrorObject", "is_error", "read_body", "read_document"]

_T = TypeVar("_T")

# Characters of a message that are passed on (more is a page), and of a code or a parameter's name.
_MAX_MESSAGE: Final = 2_000
_MAX_NAME: Final = 100
# Levels of nesting, and items of a list, that are searched for a message.
_DEPTH: Final = 5
_ITEMS: Final = 3

_MESSAGES: Final = (
    "message", "msg", "detail", "error", "errors", "error_message", "error_msg",
    "error_description", "description", "reason", "title",
)  # fmt: skip
_STATUSES: Final = ("code", "status", "status_code", "statusCode", "http_status")
_CODES: Final = ("code", "type", "error_type", "status")
ERROR_MEMBERS: Final = tuple(dict.fromkeys((*_MESSAGES, *_STATUSES, *_CODES, "param", "object")))
"""The members of an error object that are read; nothing else is needed of it."""
_UNPRINTABLE: Final = re.compile(
    r"(?:\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff])+"
)


@dataclass(frozen=True, slots=True)
class ErrorObject:
    """What an error document says; empty where it says nothing."""

    message: str = ""
    code: str | None = None
    """A word for programs: the document's ``code``, or its ``type`` where that is a number."""
    param: str | None = None
    status: int | None = None
    """The HTTP status that the document claims, 400 to 599."""
    api: bool = False
    """Whether it is the error object of a model server's API, and not of a router before it."""


# How pages and cut JSON begin, whatever they call themselves.
_MARKUP: Final = ("", "<", "{", "[")
_NOTHING: Final = ErrorObject()


def is_error(document: Mapping[str, Any]) -> bool:
    """Whether a JSON object that stands where a chunk or a completion was expected is an error."""
    if document.get("error") or document.get("object") == "error":
        return True
    if "choices" in document:
        return False
    if document.get("error") is not None or document.get("type") == "error":
        return True
    if document.get("detail") or document.get("errors"):
        return True
    return bool(document.get("message")) and _status_in(document) is not None


def read_document(document: object) -> ErrorObject:
    """What ``document``, any JSON value, says."""
    objects = _levels(document)
    return ErrorObject(
        message=_one_line(_message(document, _DEPTH), _MAX_MESSAGE),
        code=_first(_word(fields, _CODES) for fields in objects),
        param=_first(_param(fields) for fields in objects),
        status=_first(map(_status_in, objects)),
        api=_is_api(document),
    )


def read_body(body: bytes, content_type: str) -> ErrorObject:
    """What the body of an error answer says: JSON, or plain text; a page says nothing."""
    try:
        return read_document(decode(body))
    except Undecodable:
        pass
    if content_type and not content_type.lower().startswith("text/plain"):
        return _NOTHING
    try:
        text = body.decode().strip()
    except UnicodeDecodeError:
        return _NOTHING
    return _NOTHING if text[:1] in _MARKUP else ErrorObject(_one_line(text, _MAX_MESSAGE))


def _levels(document: object) -> list[dict[str, Any]]:
    """The objects of an error document, the innermost, which says most, first."""
    levels: list[dict[str, Any]] = []
    inner: object = document
    while len(levels) < _DEPTH:
        if isinstance(inner, list) and inner:
            inner = cast("list[object]", inner)[0]
        if not isinstance(inner, dict):
            break
        fields = cast("dict[str, Any]", inner)
        levels.insert(0, fields)
        inner = _inner(fields)
    return levels


def _inner(fields: Mapping[str, Any]) -> object:
    return fields.get("error") or fields.get("detail")


def _is_api(document: object) -> bool:
    """Whether it is OpenAI's object, or the flat one of older vLLM."""
    if not isinstance(document, dict):
        return False
    fields = cast("dict[str, Any]", document)
    return isinstance(fields.get("error"), dict) or fields.get("object") == "error"


def _message(value: object, depth: int) -> str:
    """The words in ``value``; of a list, those of its first items."""
    if isinstance(value, str):
        return value.strip()
    if depth == 0:
        return ""
    if isinstance(value, list):
        items = cast("list[object]", value)[:_ITEMS]
        return "; ".join(text for item in items if (text := _message(item, depth - 1)))
    if not isinstance(value, dict):
        return ""
    fields = cast("dict[str, Any]", value)
    inner = _inner(fields)
    if isinstance(inner, (dict, list)) and (text := _message(cast("object", inner), depth - 1)):
        return text
    text = next((text for name in _MESSAGES if (text := _message(fields.get(name), depth - 1))), "")
    place = _place(fields.get("loc"))
    return f"{place}: {text}" if place and text else text


def _place(loc: object) -> str:
    """FastAPI's path to the field at fault, as one name."""
    if not isinstance(loc, list):
        return ""
    parts = [str(part) for part in cast("list[object]", loc) if isinstance(part, (str, int))]
    return ".".join(parts[1:] if parts[:1] == ["body"] else parts)


def _param(fields: Mapping[str, Any]) -> str | None:
    found = _word(fields, ("param",))
    if found is not None:
        return found
    detail = fields.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = _place(cast("dict[str, Any]", detail[0]).get("loc"))
        return _one_line(place, _MAX_NAME) or None
    return None


def _word(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """The first text under ``names`` that is not a number: llama.cpp's and vLLM's code is one."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str) and not value.strip().isdigit():
            line = _one_line(value, _MAX_NAME)
            if line:
                return line
    return None


def _status_in(fields: Mapping[str, Any]) -> int | None:
    for name in _STATUSES:
        value = fields.get(name)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
            value = int(value)
        if type(value) is int and 400 <= value <= 599:
            return value
    return None


def _first(found: Iterable[_T | None]) -> _T | None:
    return next((value for value in found if value is not None), None)


def _one_line(text: str, most: int) -> str:
    return _UNPRINTABLE.sub(" ", text[: 4 * most]).strip()[:most]
