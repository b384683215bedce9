"""The tools of a Responses request as functions of a chat completion, and back. Pure.

Chat completions know functions with flat names; the Responses API has functions in namespaces and
custom tools, which take a text. A function keeps its bare name where that is the only one of its
kind in the request, so that models see the names that they were trained on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from http_service.dialects.chat_blocks import objects_in

__all__ = ["Tool", "ToolNames", "chat_tools", "kind_of", "tools_in"]

Json: TypeAlias = dict[str, Any]

UNKNOWN_KIND: Final = "unknown"
"""What a kind of tool is called whose own name can't stand in a header."""

_KIND: Final = re.compile(r"[a-z0-9_.-]{1,64}")

MAX_NAME: Final = 48
"""Characters of a flat name before its number; servers allow 64."""

_NOT_ALLOWED: Final = re.compile(r"[^A-Za-z0-9_-]")
_INPUT: Final[Json] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


class Tool(NamedTuple):
    """What a client calls a tool; ``custom`` takes a text instead of arguments."""

    name: str
    namespace: str = ""
    custom: bool = False


class ToolNames:
    """Gives each tool of one request a flat name; the same tools get the same names each time."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._flat: dict[Tool, str] = {}
        self._tools: dict[str, Tool] = {}
        unique = dict.fromkeys(tools)
        counts = Counter(tool.name for tool in unique)
        for tool in unique:
            self._add(tool, bare=counts[tool.name] == 1)

    def flat(self, tool: Tool) -> str:
        """The name under which a model knows ``tool``; it need not be among the request's."""
        if tool not in self._flat:
            self._add(tool, bare=True)
        return self._flat[tool]

    def tool(self, flat: str) -> Tool:
        """The tool that a model called ``flat``; an unknown name is a plain function's."""
        return self._tools.get(flat) or Tool(flat)

    def _add(self, tool: Tool, *, bare: bool) -> None:
        wanted = tool.name if bare or not tool.namespace else f"{tool.namespace}__{tool.name}"
        wanted = _NOT_ALLOWED.sub("_", wanted)
        flat, number = wanted if len(wanted) <= MAX_NAME + 16 else wanted[:MAX_NAME], 1
        while flat in self._tools:
            number += 1
            flat = f"{wanted[:MAX_NAME]}_{number}"
        self._flat[tool] = flat
        self._tools[flat] = tool


def tools_in(tools: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Tool, Mapping[str, Any]]]:
    """Every function and custom tool, with its definition; namespaces are entered."""
    for definition in tools:
        kind = definition.get("type")
        if kind in ("function", "custom"):
            yield Tool(str(definition.get("name")), custom=kind == "custom"), definition
        elif kind == "namespace":
            namespace = str(definition.get("name"))
            for tool, inner in tools_in(objects_in(definition.get("tools"))):
                yield tool._replace(namespace=namespace), inner


def kind_of(kind: object) -> str:
    """What a client calls a kind of tool, if that can stand in a header."""
    return kind if isinstance(kind, str) and _KIND.fullmatch(kind) else UNKNOWN_KIND


def chat_tools(tools: Iterable[tuple[Tool, Mapping[str, Any]]], names: ToolNames) -> list[Json]:
    """The functions that stand for ``tools`` in a chat completion request."""
    return [_function(names.flat(tool), tool, definition) for tool, definition in tools]


def _function(flat: str, tool: Tool, definition: Mapping[str, Any]) -> Json:
    function: Json = {"name": flat}
    if definition.get("description"):
        function["description"] = definition["description"]
    if tool.custom:
        function["parameters"] = _INPUT
    elif definition.get("parameters") is not None:
        function["parameters"] = definition["parameters"]
    if definition.get("strict") is not None:
        function["strict"] = definition["strict"]
    return {"type": "function", "function": function}
