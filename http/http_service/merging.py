"""Merges what a stream says in parts into one JSON object; pure functions on growing objects.

A growing object is a ``dict`` whose texts are :class:`Pieces`, so that growing stays linear;
:func:`joined` makes JSON of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

__all__ = ["Json", "Pieces", "index_of", "joined", "merge"]

Json: TypeAlias = dict[str, Any]

_WHOLE: Final = frozenset({"id", "type", "role", "name", "call_id", "format", "status"})
"""Strings that arrive whole: a repetition replaces, it does not lengthen."""

_MAX_DIGITS: Final = 9


class Pieces(list[str]):
    """The pieces of one growing text; told from a JSON list by its class."""

    __slots__ = ()


def merge(into: Json, part: Mapping[str, Any], *, texts: bool) -> int:
    """Merge ``part`` into ``into``; the number of characters and items that this added.

    Lists grow and objects are merged. With ``texts`` strings grow, but for those that arrive whole;
    otherwise the last one counts, as for numbers. ``null`` and an empty string replace nothing.
    """
    added = 0
    for key, value in part.items():
        present = into.get(key)
        if value is None:
            into.setdefault(key, None)
        elif isinstance(value, str):
            if not texts or key in _WHOLE:
                if value or present is None:
                    into[key] = value
            else:
                _lengthen(into, key, value)
            added += len(value)
        elif isinstance(value, dict):
            grown: Json = cast("Json", present) if isinstance(present, dict) else {}
            into[key] = grown
            added += merge(grown, cast("Json", value), texts=texts)
        elif isinstance(value, list):
            items = cast("list[object]", value)
            if isinstance(present, Pieces):
                into[key] = [*_parts(present), *items]
            elif isinstance(present, list):
                cast("list[object]", present).extend(items)
            else:
                into[key] = [*items]
            added += len(items)
        else:
            into[key] = value
    return added


def joined(value: object) -> Any:
    """``value`` with every list of pieces joined to one text."""
    if isinstance(value, Pieces):
        return "".join(value)
    if isinstance(value, dict):
        return {key: joined(inner) for key, inner in cast("Json", value).items()}
    return value


def index_of(value: object) -> int | None:
    """The index that ``value`` means, also as a text or a float; ``None`` if it means none."""
    if isinstance(value, str) and len(value) <= _MAX_DIGITS and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        return int(value)
    return value if type(value) is int else None


def _lengthen(into: Json, key: str, text: str) -> None:
    present = into.get(key)
    if isinstance(present, Pieces):
        present.append(text)
    elif isinstance(present, list):  # content that came in parts so far (Mistral's reasoning)
        cast("list[object]", present).extend(_parts(Pieces([text])))
    else:
        into[key] = Pieces([text])


def _parts(pieces: Pieces) -> list[object]:
    """A text as content parts; none if it is empty."""
    text = "".join(pieces)
    return [{"type": "text", "text": text}] if text else []
