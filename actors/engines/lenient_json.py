"""Decodes JSON no more strictly than clients do: what is only forwarded must not fail here. Pure.

Python's and JavaScript's clients take values that RFC 8259 or a strict decoder refuses: ``NaN`` and
``Infinity``, half of a surrogate pair, control characters inside strings, bytes that are not UTF-8,
a byte order mark.
"""

from __future__ import annotations

import json
from typing import Any, Final

import orjson

__all__ = ["DICT", "LIST", "Undecodable", "decode", "encode"]

DICT: Final[Any] = dict
LIST: Final[Any] = list
"""For ``isinstance`` of decoded values where each token passes by. PERF: what was found to be one
of them stays an ``Any``, which needs no ``cast``, and so no call."""

# Digits of a whole number that Python reads at once (sys.int_info.default_max_str_digits).
_MAX_DIGITS: Final = 4_300


class Undecodable(ValueError):
    """Not JSON, even to a lenient client."""


def decode(data: bytes) -> Any:
    """The JSON value in ``data``. Raises :class:`Undecodable`.

    PERF: one strict attempt in C; only what that refuses is read again.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _decode_leniently(data)


def encode(value: Any) -> bytes:
    """``value`` as JSON, if need be with the escapes it came with. Raises ``ValueError``.

    Half of a surrogate pair and a number above 64 bits have no form that orjson writes.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        pass
    try:
        return json.dumps(value, separators=(",", ":")).encode()
    except (TypeError, RecursionError) as error:
        raise ValueError("not a JSON value") from error


def _decode_leniently(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig", "replace"), strict=False, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise Undecodable("not JSON") from error


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) < _MAX_DIGITS else float(digits)
