"""A body that is ``multipart/form-data``: which model it asks for, found without taking it apart.

Pure. The body is relayed as it came, so the engine reads it again, with a reader of its own:
what two readers may understand differently is refused here, as in JSON. Strict are the lines
between the parts, the heads of the parts and the field ``model``; what else a part holds is not
looked at. The bytes are passed over once, and heads and parts have limits.

Sources: RFC 7578 (forms), RFC 2046, 5.1.1 (delimiters), RFC 9110, 5.6.6 (parameters).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from actors.engines.media import Form
from http_service.errors import InvalidValue, MalformedRequest

__all__ = ["MAX_HEAD", "MAX_PARTS", "MAX_VALUE", "FormFields", "boundary_of", "read_form"]

MAX_PARTS: Final = 1_000
"""Parts of one form: sixteen pictures and all settings are some thirty."""
MAX_HEAD: Final = 8_192
"""Bytes of a part's head."""
MAX_VALUE: Final = 4_096
"""Bytes of a field that is read here."""

_STEP: Final = 1024 * 1024
"""Bytes that are searched in one go: no other thread runs meanwhile."""

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf';[ \t]*({_WORD})=(?:"((?:[^"\\]|\\.)*)"|([^\s";\\]+))[ \t]*')
_TYPE: Final = re.compile(r"[ \t]*multipart/form-data[ \t]*", re.IGNORECASE)
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]")
_PREAMBLE: Final = re.compile(rb"(?:\r\n)*+")
_LINE_END: Final = re.compile(rb"[ \t]*+\r\n")
_EPILOGUE: Final = re.compile(rb"[ \t]*+(?:\r\n[ \t\r\n]*+)?")
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00\r\n]*)")
_DISPOSITION: Final = re.compile(r"[ \t]*form-data[ \t]*", re.IGNORECASE)
_ESCAPED: Final = re.compile(rb"\\(.)")
_AS_IT_IS: Final = frozenset((b"7bit", b"8bit", b"binary"))

_CONTENT_TYPE: Final = "content-type"
"""What an error names that is the boundary's."""


class FormFields(NamedTuple):
    """What was read of a form: ``fields`` are ``model`` and, if it is there, ``user``."""

    model: str
    fields: dict[str, str]
    form: Form


class _Part(NamedTuple):
    """A part: what its head says, and where its value stands."""

    name: bytes
    file: bool
    encoding: bytes
    start: int
    end: int


def boundary_of(content_type: str) -> bytes:
    """The boundary that a ``Content-Type`` names. Raises :class:`MalformedRequest`."""
    parameters = None
    if content_type.isascii() and content_type.isprintable():
        parameters = _parameters(_TYPE, content_type)
    if parameters is None:
        raise MalformedRequest("The parameters of the Content-Type can't be read", _CONTENT_TYPE)
    found = [value for name, value in parameters if name == "boundary"]
    if len(found) != 1 or _BOUNDARY.fullmatch(found[0]) is None:
        raise MalformedRequest(
            "The Content-Type must name one boundary, of 1 to 70 characters (RFC 2046)",
            _CONTENT_TYPE,
        )
    return found[0].encode()


def read_form(raw: bytes, content_type: str) -> FormFields:
    """The model that the form ``raw`` asks for, and how the form is written.

    Raises :class:`MalformedRequest` for what is not one whole form with one field ``model``, and
    :class:`InvalidValue` for a model that can't be one; ``param`` names the field at fault.
    """
    boundary = boundary_of(content_type)
    model: _Part | None = None
    fields: dict[str, str] = {}
    names: set[str] = set()
    for part in _parts(raw, b"--" + boundary):
        names.add(part.name.decode("utf-8", "replace"))
        if _means_model(part.name):
            _check_model(part, again=model is not None)
            model = part
        elif part.name == b"user" and not part.file and part.end - part.start <= MAX_VALUE:
            fields["user"] = raw[part.start : part.end].decode("utf-8", "replace")
    if model is None:
        raise MalformedRequest("Missing required field: model", "model")
    fields["model"] = _name_in(raw[model.start : model.end])
    form = Form(content_type, boundary, frozenset(names), model.start, model.end)
    return FormFields(fields["model"], fields, form)


def _parts(raw: bytes, delimiter: bytes) -> Iterator[_Part]:
    """The parts between lines that begin with ``delimiter``, up to the one that is the last."""
    preamble = _PREAMBLE.match(raw)
    at = preamble.end() if preamble is not None else 0
    if not raw.startswith(delimiter, at):
        raise MalformedRequest(
            "The body does not begin with the boundary that its Content-Type names", _CONTENT_TYPE
        )
    at += len(delimiter)
    for number in range(MAX_PARTS + 1):
        where = f"parts[{number}]"
        if raw.startswith(b"--", at):
            if _EPILOGUE.fullmatch(raw, at + 2) is None:
                raise MalformedRequest("The form goes on after its last boundary", where)
            return
        part, at = _part(raw, at, delimiter, where)
        yield part
    raise MalformedRequest(f"The form has more than {MAX_PARTS} parts", f"parts[{MAX_PARTS}]")


def _part(raw: bytes, at: int, delimiter: bytes, where: str) -> tuple[_Part, int]:
    """The part whose ``delimiter`` ends at ``at``, and where the next one ends."""
    line = _LINE_END.match(raw, at)
    if line is None:
        raise MalformedRequest("A boundary in the form is not a line of its own", where)
    head = raw.find(b"\r\n\r\n", line.end(), line.end() + MAX_HEAD + 4)
    if head < 0:
        message = f"The head of a part does not end, or is longer than {MAX_HEAD} bytes"
        raise MalformedRequest(message, where)
    name, file, encoding = _head(raw[line.end() : head], where)
    start = head + 4
    end = _find(raw, b"\r\n" + delimiter, start)
    # NOTE: a boundary at once after the head ends the part for some readers and not for others.
    if end < 0 or raw.startswith(delimiter, start):
        field = name.decode("utf-8", "replace")[:100]
        raise MalformedRequest("The form breaks off: a part does not end with the boundary", field)
    return _Part(name, file, encoding, start, end), end + 2 + len(delimiter)


def _head(head: bytes, where: str) -> tuple[bytes, bool, bytes]:
    """The name that a part's ``head`` gives it, whether it is a file, and its encoding."""
    encoding = b"binary"
    dispositions: list[str] = []
    for line in head.split(b"\r\n"):
        header = _HEADER.fullmatch(line)
        if header is None:
            raise MalformedRequest("The head of a part can't be read", where)
        match header[1].lower():
            case b"content-disposition":
                dispositions.append(header[2].decode("latin-1"))
            case b"content-transfer-encoding":
                encoding = header[2].strip().lower()
            case _:
                pass
    parameters = _parameters(_DISPOSITION, dispositions[0]) if len(dispositions) == 1 else None
    names = [value for name, value in parameters or () if name in ("name", "name*")]
    if parameters is None or len(names) != 1 or ("name", names[0]) not in parameters:
        message = 'A part needs one header Content-Disposition: form-data; name="…"'
        raise MalformedRequest(message, where)
    file = any(name in ("filename", "filename*") for name, _ in parameters)
    return names[0].encode("latin-1"), file, encoding


def _parameters(kind: re.Pattern[str], text: str) -> list[tuple[str, str]] | None:
    """Names, in lower case, and values in ``text`` after ``kind``; ``None`` if it is malformed.

    What is escaped in a quoted value stays so.
    """
    begin = kind.match(text)
    at = 0 if begin is None else begin.end()
    found: list[tuple[str, str]] = []
    while at and (parameter := _PARAMETER.match(text, at)) is not None:
        quoted, plain = parameter[2], parameter[3]
        found.append((parameter[1].lower(), plain if quoted is None else quoted))
        at = parameter.end()
    return found if begin is not None and not text[at:].strip("; \t") else None


def _find(raw: bytes, word: bytes, at: int) -> int:
    """Where ``word`` begins in ``raw``, from ``at`` on; -1 if it is not there."""
    for begin in range(at, len(raw), _STEP):
        found = raw.find(word, begin, begin + _STEP + len(word) - 1)
        if found >= 0:
            return found
    return -1


def _means_model(name: bytes) -> bool:
    """Whether ``name`` is "model". Raises :class:`MalformedRequest` if only some read it so."""
    plain = unquote_to_bytes(_ESCAPED.sub(rb"\1", name)).strip().lower()
    if plain == b"model" != name:
        written = name.decode("utf-8", "replace")
        raise MalformedRequest(f"The form has a field {written!r:.100}: write it 'model'", "model")
    return plain == b"model"


def _check_model(part: _Part, *, again: bool) -> None:
    """Raise :class:`MalformedRequest` if readers may take another value for the model."""
    if again:
        raise MalformedRequest("The form has more than one field 'model'", "model")
    if part.file:
        raise MalformedRequest("The field 'model' must be a text, not a file", "model")
    if part.encoding not in _AS_IT_IS:
        raise MalformedRequest("The field 'model' must not be encoded", "model")


def _name_in(value: bytes) -> str:
    """The name that is the field's ``value``."""
    if not 0 < len(value) <= MAX_VALUE:
        limits = f"expected 1 to {MAX_VALUE} bytes"
        raise InvalidValue(f"Invalid value for model: {limits}", "model")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MalformedRequest("Invalid value for model: it is not UTF-8", "model") from None
