"""Tells the tool calls of one streamed message apart, and merges the parts of each. Pure.

OpenAI tells a call by its ``index``. Other servers leave it out, or say 0 for each call, and tell
calls by ``id``, or only by sending each one whole. Two calls are never merged; parts that nothing
tells apart belong to the call that came last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, cast

import orjson

from actors.engines.errors import EngineUnavailable
from http_service.merging import Json, Pieces, index_of, joined, merge

__all__ = ["ToolCalls"]

# What a call costs beside its texts, in bytes; and how often one call is looked at for being whole.
_COST: Final = 512
_MAX_LOOKS: Final = 16


@dataclass(slots=True, eq=False)
class _Call:
    index: int | None
    fields: Json = field(default_factory=dict[str, Any])
    looks: int = 0

    @property
    def function(self) -> Json:
        found = self.fields.get("function")
        return cast("Json", found) if isinstance(found, dict) else {}

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

    __slots__ = ("_calls", "_ids", "_latest")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._ids: dict[str, _Call] = {}
        self._latest: dict[int, _Call] = {}

    def add(self, parts: object) -> int:
        """Take the ``tool_calls`` of one delta; roughly the bytes that this added.

        Raises ``EngineUnavailable`` for what is not a list of calls.
        """
        if parts is None:
            return 0
        listed = [cast("Json", parts)] if isinstance(parts, dict) else parts
        if not isinstance(listed, list):
            raise EngineUnavailable("The engine sent a tool call that can't be read.")
        added, taken = 0, set[_Call]()
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
        indexes = [call.index for call in self._calls]
        calls = self._calls
        if None not in indexes and len({*indexes}) == len(indexes):
            calls = sorted(calls, key=lambda call: call.index or 0)
        return [joined(call.fields) for call in calls]

    def _add(self, part: Json, position: int, taken: set[_Call]) -> int:
        index = index_of(part.get("index"))
        call = self._candidate(part, index, position)
        added = 0
        # What one delta lists are several calls, unless it says itself that they are one.
        twice = index is None and not part.get("id") and call in taken
        if call is None or twice or _is_another(call, part):
            call = _Call(index)
            self._calls.append(call)
            added = _COST
        taken.add(call)
        if index is not None:
            self._latest[index] = call
        name = part.get("id")
        if isinstance(name, str) and name:
            self._ids[name] = call
        rest = {key: value for key, value in part.items() if key != "index"}
        return added + merge(call.fields, rest, texts=True)

    def _candidate(self, part: Json, index: int | None, position: int) -> _Call | None:
        """The call that ``part`` may go on; ``position`` is its place among several, else -1."""
        if index is not None:
            return self._latest.get(index)
        name = part.get("id")
        if isinstance(name, str) and name:
            return self._ids.get(name)
        return self._calls[position] if self._calls and position < len(self._calls) else None


def _is_another(call: _Call, part: Json) -> bool:
    """Whether ``part`` begins a call of its own, although its place is that of ``call``."""
    function: object = part.get("function")
    told: Json = cast("Json", function) if isinstance(function, dict) else {}
    name, known = part.get("id"), call.fields.get("id")
    if name and known and name != known:
        return True
    if told.get("name") and call.function.get("name") not in (None, "", told["name"]):
        return True
    arguments: object = told.get("arguments")
    begins = isinstance(arguments, dict) or (
        isinstance(arguments, str) and arguments.lstrip().startswith("{")
    )
    return begins and call.is_whole()
