"""From a request's bytes to a valid body, or to one error that names the field.

Pure functions, in the order of Dynamo's checks (reference: its frontend, "Order of checks"). Errors
come in a contrasting pair, because only the second kind is counted in ``requests_total``:

* :class:`MalformedRequest`: not what the endpoint reads at all (syntax, wrong type, field missing);
* :class:`InvalidValue`: readable, but a field has a value that it can't have.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

import msgspec
import orjson

from http_service.api.endpoints import ENDPOINTS, GenerateRequest, ModelRequest
from http_service.errors import InvalidValue, MalformedRequest, RequestError, UnsupportedMediaType

__all__ = [
    "MAX_CONTAINERS",
    "MAX_VALUES",
    "PIECE",
    "check_content_type",
    "excess",
    "more_containers_than",
    "occurs_once",
    "parse_json",
    "validate",
]

R = TypeVar("R", bound=ModelRequest)

MAX_DEPTH: Final = 200
"""Levels of nesting in a body. Beyond 254 no JSON writer of ours could pass it on."""

LONG_BODY: Final = 1024 * 1024
"""Bytes from which on a body is decoded in the way that keeps the interpreter for a shorter time:
no other thread runs meanwhile."""

_TOO_DEEP: Final = f"The body is nested more than {MAX_DEPTH} levels deep"

_FORM_TYPE: Final = re.compile(r"\s*multipart/form-data\s*(?:;|$)", re.IGNORECASE)
_JSON_TYPE: Final = re.compile(r"\s*application/(?:json|[^;\s]+\+json)\s*(?:;|$)", re.IGNORECASE)
_NO_MEMORY: Final = "Not enough memory"
"""How orjson begins to say that it is not the client's fault."""
_WHERE: Final = re.compile(r" - at `\$\.?(?P<path>.*)`$")
_MISSING: Final = re.compile(r"^Object missing required field `(?P<field>[^`]+)`")
_NOT_WHOLE: Final = "Expected `float` that's a multiple of 1.0"

_QUOTED: Final[Mapping[str, bytes]] = {
    field: b'"%b"' % field.encode()
    for endpoint in ENDPOINTS
    for field in endpoint.body.__struct_fields__
}
"""The fields that are checked, as a body usually spells them."""
_ESCAPED_ASCII: Final = re.compile(rb"\\u00[4-7]")
"""How an ASCII character of a name begins if it is written as an escape."""


def check_content_type(content_type: str | None, *, form: bool = False) -> None:
    """Raise :class:`UnsupportedMediaType` unless it is ``application/json`` or ``…+json``.

    With ``form`` it must be ``multipart/form-data`` instead.
    """
    accepted = _FORM_TYPE if form else _JSON_TYPE
    if content_type is None or accepted.match(content_type) is None:
        expected = "multipart/form-data" if form else "application/json"
        raise UnsupportedMediaType(f"Expected a request with Content-Type {expected}")


def parse_json(raw: bytes) -> dict[str, Any]:
    """The JSON object in ``raw``, if every reader of it reads the same.

    Raises :class:`MalformedRequest`, or ``MemoryError``.
    """
    # PERF: a short body is within bounds, and counting brackets is a memchr: only a body that
    # could be too deep is walked.
    short = len(raw) <= PIECE
    try:
        body: Any = orjson.loads(raw) if short else _decoded(raw)
    except (orjson.JSONDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise _undecodable(error) from None
    if body.__class__ is not dict:
        raise MalformedRequest(f"The body must be a JSON object, not {_JSON_NAMES[body.__class__]}")
    members: dict[str, Any] = body
    if short:
        may_be_deep = raw.count(b"[") + raw.count(b"{") > MAX_DEPTH
    else:
        may_be_deep = more_containers_than(MAX_DEPTH, raw)
    if may_be_deep and _deeper_than(members, MAX_DEPTH):
        raise MalformedRequest(_TOO_DEEP)
    _check_names(raw, members, short=short)
    return members


def _decoded(raw: bytes) -> Any:
    """The value of a long body."""
    if (too_much := excess(raw)) is not None:
        raise MalformedRequest(f"The body has {too_much}")
    # PERF: for a long body msgspec takes two thirds of the time, for a short one twice as long.
    return orjson.loads(raw) if len(raw) <= LONG_BODY else msgspec.json.decode(raw)


def _undecodable(error: Exception) -> Exception:
    """What is raised for a body that ``error`` says can't be decoded."""
    if isinstance(error, RecursionError):
        return MalformedRequest(_TOO_DEEP)
    if isinstance(error, orjson.JSONDecodeError) and error.msg.startswith(_NO_MEMORY):
        return MemoryError(_NO_MEMORY)
    return MalformedRequest(f"The body is not valid JSON: {error}")


def validate(schema: type[R], body: dict[str, Any]) -> R:
    """Check every typed field of ``body`` by an endpoint's ``schema``.

    Raises :class:`MalformedRequest` or :class:`InvalidValue` for the first field at fault, with its
    path in ``param`` (``messages[0].role``). Fields that the schema does not name pass.
    """
    try:
        request = msgspec.convert(body, schema)
    except msgspec.ValidationError as error:
        raise _explained(str(error)) from None
    if (
        isinstance(request, GenerateRequest)
        and request.stream_options is not None
        and request.stream is not True
    ):
        # which the schema can't say
        raise InvalidValue("stream_options is only allowed when stream is true", "stream_options")
    return request


def _check_names(raw: bytes, members: Mapping[str, object], *, short: bool) -> None:
    """Raise :class:`MalformedRequest` if a reader may take another value for a field than we did.

    Of two members with one name some readers take the first, and some ignore the case of names:
    what was checked here would not be what the engine reads (RFC 8259, 4).
    """
    # PERF: a name that stands in ``raw`` once, unescaped, is there once. Without escapes each name
    # is there at least once: then all are there once if they are as many as there are names.
    quoted = [*filter(None, map(_QUOTED.get, members))]
    if len(quoted) != len(members):
        for name in members:
            if name not in _QUOTED and (meant := name.casefold()) in _QUOTED:
                raise MalformedRequest(f"The body has a member {name!r}: write it {meant!r}", meant)
    if raw.find(b"\\u00") >= 0 and _ESCAPED_ASCII.search(raw) is not None:
        clear = False
    elif short:
        clear = sum(map(raw.count, quoted)) == len(quoted)
    else:
        clear = all(occurs_once(name, raw) for name in quoted)
    if not clear:
        _check_repetitions(raw)


def _check_repetitions(raw: bytes) -> None:
    # An object as a list of its members; no number is made, so none can be too long.
    members = json.loads(raw, object_pairs_hook=list, parse_int=len, parse_float=len)
    seen: set[str] = set()
    for name, _ in members:
        if name in seen and name in _QUOTED:
            raise MalformedRequest(f"The body has more than one member {name!r}", name)
        seen.add(name)


def _explained(text: str) -> RequestError:
    """msgspec's message as an error of ours: path to ``param``, kind by what was wrong.

    msgspec says ``Expected `int` >= 1 - at `$.n```; a wrong type reads ``Expected `int`, got …``.
    """
    where = _WHERE.search(text)
    path = where["path"] if where else ""
    problem = text[: where.start()] if where else text
    missing = _MISSING.match(problem)
    if missing:
        param = f"{path}.{missing['field']}" if path else missing["field"]
        return MalformedRequest(f"Missing required field: {param}", param)
    if problem == _NOT_WHOLE:
        return MalformedRequest(f"Invalid value for {path}: expected a whole number", path)
    message = f"Invalid value for {path}: {problem[0].lower()}{problem[1:]}"
    message = message.replace("float", "number")  # as JSON calls it
    return (MalformedRequest if ", got `" in problem else InvalidValue)(message, path)


def _deeper_than(value: object, limit: int) -> bool:
    """Whether ``value`` nests more than ``limit`` containers. Iterative: it must not recurse."""
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _containers_in(parent)]
        if not level:
            return False
    return True


def _containers_in(value: object) -> Iterator[object]:
    children: Iterable[object] = ()
    if isinstance(value, dict):
        children = cast("dict[str, object]", value).values()
    elif isinstance(value, list):
        children = cast("list[object]", value)
    return (child for child in children if _is_container(child))


def _is_container(value: object) -> bool:
    return isinstance(value, dict | list)


_JSON_NAMES: Final[Mapping[type, str]] = {
    list: "an array",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a boolean",
    type(None): "null",
}


MAX_CONTAINERS: Final = 100_000
"""Arrays and objects of one body. A conversation of 10,000 messages with tools has half of that."""

MAX_VALUES: Final = 1_250_000
"""Commas of one body, so about as many values: a prompt of a million token ids fits in."""

MAX_STRINGS: Final = 2 * (MAX_VALUES + MAX_CONTAINERS)
"""Texts of one body: each value may be one, and may have a name."""

PIECE: Final = 64 * 1024
"""Bytes that are looked at in one go; an even number, see :func:`_whole_escapes`."""

_STRUCTURE: Final = b'"[{,'
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in _STRUCTURE)
_STRING: Final = re.compile(rb'"[^"]*"')


def excess(raw: bytes) -> str | None:
    """What ``raw`` holds too much of, for the client to read; ``None`` if it is within bounds.

    ``raw`` need not be valid JSON. Whatever it holds, the time is a small multiple of reading it.
    """
    if len(raw) <= MAX_CONTAINERS:
        return None
    # PERF: these counts include what is in strings; few bodies have so many in all.
    if not more_containers_than(MAX_CONTAINERS, raw) and not _more_commas_than(MAX_VALUES, raw):
        return None
    containers = values = strings = 0
    inside = False
    for piece in _whole_escapes(raw):
        # Without the escapes, each quote begins or ends a string.
        plain = piece.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _OTHERS)
        quotes = plain.count(b'"') + inside
        strings += quotes // 2
        whole = b'"' * inside + plain + b'"' * (quotes % 2)
        inside = quotes % 2 == 1
        outside = _STRING.sub(b"", whole)
        containers += outside.count(b"[") + outside.count(b"{")
        values += outside.count(b",")
        if containers > MAX_CONTAINERS:
            return f"more than {MAX_CONTAINERS} arrays and objects"
        if values > MAX_VALUES or strings > MAX_STRINGS:
            return f"more than {MAX_VALUES} values"
    return None


def more_containers_than(most: int, raw: bytes) -> bool:
    """Whether ``raw`` has more than ``most`` opening brackets, those within strings included."""
    found = 0
    for piece in _pieces(raw):
        found += piece.count(b"[") + piece.count(b"{")
        if found > most:
            return True
    return False


def occurs_once(word: bytes, raw: bytes) -> bool:
    """Whether ``raw`` has ``word`` exactly once."""
    if len(raw) <= PIECE:
        return raw.count(word) == 1
    found = 0
    for at in range(0, len(raw), PIECE):
        # As much of the next piece as a word that begins in this one can need.
        found += raw.count(word, at, at + PIECE + len(word) - 1)
        if found > 1:
            return False
    return found == 1


def _more_commas_than(most: int, raw: bytes) -> bool:
    found = 0
    for piece in _pieces(raw):
        found += piece.count(b",")
        if found > most:
            return True
    return False


def _pieces(raw: bytes) -> Iterator[bytes]:
    return (raw[at : at + PIECE] for at in range(0, len(raw), PIECE))


def _whole_escapes(raw: bytes) -> Iterator[bytes]:
    """Pieces of ``raw`` none of which ends between a backslash and what it escapes."""
    at = 0
    while at < len(raw):
        piece = raw[at : at + PIECE]
        backslashes = len(piece) - len(piece.rstrip(b"\\"))
        if backslashes % 2 and len(piece) == PIECE:
            piece = piece[:-1]
        at += len(piece)
        yield piece
