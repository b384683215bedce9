"""Merges what a stream says in parts into JSON objects; tells parallel tool calls apart. Pure.

A growing object is a ``dict`` whose texts are :class:`Pieces`, so that growing stays linear;
:func:`joined` makes JSON of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

import orjson

from actors.engines.errors import EngineUnavailable
from actors.engines.lenient_json import DICT

__all__ = [
    "Json",
    "Pieces",
    "ToolCall",
    "ToolCalls",
    "index_of",
    "joined",
    "merge",
]

Json: TypeAlias = dict[str, Any]

_WHOLE: Final = frozenset({"id", "type", "role", "name", "call_id", "format", "status"})
"""Strings that arrive whole: a repetition replaces, it does not lengthen."""

_MAX_DIGITS: Final = 9


class Pieces(list[str]):
    """The pieces of one growing text; its class tells it apart from a JSON list."""

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


# What a call costs beside its texts, in bytes; and how often one call is looked at for being whole.
_COST: Final = 512
_MAX_LOOKS: Final = 16


@dataclass(slots=True, eq=False)
class ToolCall:
    """One tool call while it grows."""

    index: int | None
    fields: Json = field(default_factory=dict[str, Any])
    looks: int = 0

    @property
    def function(self) -> Json:
        found = self.fields.get("function")
        return cast("Json", found) if isinstance(found, dict) else {}

    @property
    def id(self) -> str:
        """What the answer to it will refer to; empty where the server gives none."""
        found = self.fields.get("id")
        return found if isinstance(found, str) else ""

    @property
    def name(self) -> str:
        """The function's name; empty until it is known."""
        found = self.function.get("name")
        return found if isinstance(found, str) else ""

    def argument_pieces(self, start: int) -> list[str]:
        """The pieces of its arguments, a JSON text, from the one numbered ``start``."""
        arguments: Any = self.function.get("arguments")
        if isinstance(arguments, Pieces):
            return arguments[start:]
        whole = isinstance(arguments, DICT) and not start
        return [orjson.dumps(joined(arguments)).decode()] if whole else []

    def is_whole(self) -> bool:
        """Whether its arguments are an object that nothing can be added to."""
        arguments = self.function.get("arguments")
        if isinstance(arguments, dict):
            return True
        if not isinstance(arguments, Pieces) or not "".join(arguments[-1:]).rstrip().endswith("}"):
            return False
        self.looks += 1  # each look takes as long as the text: their number is bounded
        if self.looks > _MAX_LOOKS:
            return False
        try:
            return isinstance(orjson.loads("".join(arguments)), dict)
        except orjson.JSONDecodeError:
            return False


class ToolCalls:
    """The calls of one message while they grow. Not synchronised."""

    __slots__ = ("_ids", "_latest", "calls")

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        """In the order in which they began."""
        self._ids: dict[str, ToolCall] = {}
        self._latest: dict[int, ToolCall] = {}

    def add(self, parts: object) -> int:
        """Take the ``tool_calls`` of one delta; roughly the bytes that this added.

        Raises ``EngineUnavailable`` for what is not a list of calls.
        """
        if parts is None:
            return 0
        listed = [cast("Json", parts)] if isinstance(parts, dict) else parts
        if not isinstance(listed, list):
            raise EngineUnavailable("The engine sent a tool call that can't be read.")
        added, taken = 0, set[ToolCall]()
        items = cast("list[object]", listed)
        for position, part in enumerate(items):
            if isinstance(part, dict):
                place = position if len(items) > 1 else -1
                added += self._add(cast("Json", part), place, taken)
            elif part is not None:
                raise EngineUnavailable("The engine sent a tool call that can't be read.")
        return added

    def joined(self) -> list[Json]:
        """The whole calls: by index if each has one of its own, else as they came."""
        indexes = [call.index for call in self.calls]
        calls = self.calls
        if None not in indexes and len({*indexes}) == len(indexes):
            calls = sorted(calls, key=lambda call: call.index or 0)
        return [joined(call.fields) for call in calls]

    def _add(self, part: Json, position: int, taken: set[ToolCall]) -> int:
        index = index_of(part.get("index"))
        call = self._candidate(part, index, position)
        added = 0
        # What one delta lists are several calls, unless it says itself that they are one.
        twice = index is None and not part.get("id") and call in taken
        if call is None or twice or _is_another(call, part):
            call = ToolCall(index)
            self.calls.append(call)
            added = _COST
        taken.add(call)
        if index is not None:
            self._latest[index] = call
        name = part.get("id")
        if isinstance(name, str) and name:
            self._ids[name] = call
        rest = {key: value for key, value in part.items() if key != "index"}
        return added + merge(call.fields, rest, texts=True)

    def _candidate(self, part: Json, index: int | None, position: int) -> ToolCall | None:
        """The call that ``part`` may go on; ``position`` is its place among several, else -1."""
        if index is not None:
            return self._latest.get(index)
        name = part.get("id")
        if isinstance(name, str) and name:
            return self._ids.get(name)
        return self.calls[position] if self.calls and position < len(self.calls) else None


def _is_another(call: ToolCall, part: Json) -> bool:
    """Whether ``part`` begins a call of its own, although its place is that of ``call``."""
    found: object = part.get("function")
    function: Json = cast("Json", found) if isinstance(found, dict) else {}
    name, known = part.get("id"), call.fields.get("id")
    if name and known and name != known:
        return True
    if function.get("name") and call.function.get("name") not in (None, "", function["name"]):
        return True
    arguments: object = function.get("arguments")
    begins = isinstance(arguments, dict) or (
        isinstance(arguments, str) and arguments.lstrip().startswith("{")
    )
    return begins and call.is_whole()
