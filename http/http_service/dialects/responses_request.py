"""A request of OpenAI's Responses API as a chat completion request. Pure.

Source: OpenAI's API reference, ``POST /v1/responses``. Tools that only OpenAI's own service can run
are dropped, and said to be; a field that can't be honoured is refused by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from actors.engines.lenient_json import DICT
from http_service.dialects.chat_blocks import list_of, object_of, objects_in
from http_service.dialects.tool_names import Tool, ToolNames, chat_tools, kind_of, tools_in
from http_service.errors import InvalidValue, UnsupportedParameter

__all__ = ["Translated", "responses_to_chat"]

Json: TypeAlias = dict[str, Any]

LOGPROBS: Final = "message.output_text.logprobs"
"""The word in ``include`` that asks for log probabilities."""

_SAME: Final = (
    "stream", "temperature", "top_p", "parallel_tool_calls", "metadata", "user",
    "service_tier", "prompt_cache_key", "safety_identifier",
)  # fmt: skip
_UNSUPPORTED: Final = ("background", "prompt", "conversation", "max_tool_calls")
MAX_DROPPED: Final = 16
"""Kinds of tools that are said to be dropped at most."""

_TOOL_KINDS: Final = ("function", "custom", "namespace")


class Translated(NamedTuple):
    """``chat`` is the request as a chat completion request; ``tools`` names its functions.

    ``dropped`` are the kinds of tools that were left out.
    """

    chat: Json
    tools: ToolNames
    dropped: tuple[str, ...]


def responses_to_chat(body: Mapping[str, Any], before: Sequence[Json] = ()) -> Translated:
    """A valid ``body`` as a chat completion request.

    ``before`` are the items of an earlier response that this one continues. Raises
    ``UnsupportedParameter`` and ``InvalidValue`` that name the field.
    """
    _refuse_unsupported(body)
    items = [*before, *_items(body.get("input") or ())]
    definitions: list[Mapping[str, Any]] = body.get("tools") or []
    listed = list(tools_in(definitions))
    names = ToolNames([*(tool for tool, _ in listed), *_called(items)])
    chat: Json = {key: body[key] for key in _SAME if body.get(key) is not None}
    chat["messages"] = _Conversation(names).read(body.get("instructions"), items, -len(before))
    listed = _set_tool_choice(chat, body.get("tool_choice"), listed, names)
    if listed:
        chat["tools"] = chat_tools(listed, names)
    else:  # servers refuse a choice among no tools
        chat.pop("tool_choice", None)
        chat.pop("parallel_tool_calls", None)
    _set_options(chat, body)
    kinds = [tool.get("type") for tool in definitions]
    dropped = {kind_of(kind) for kind in kinds if kind not in _TOOL_KINDS}
    return Translated(chat, names, tuple(sorted(dropped)[:MAX_DROPPED]))


def _refuse_unsupported(body: Mapping[str, Any]) -> None:
    for field in _UNSUPPORTED:
        if body.get(field):
            raise UnsupportedParameter(f"{field} is not supported here", field)
    if body.get("truncation") not in (None, "disabled"):
        raise UnsupportedParameter("truncation must be disabled", "truncation")


def _set_options(chat: Json, body: Mapping[str, Any]) -> None:
    if body.get("max_output_tokens") is not None:
        chat["max_completion_tokens"] = body["max_output_tokens"]
    if body.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    if body.get("top_logprobs") is not None or LOGPROBS in (body.get("include") or ()):
        chat["logprobs"] = True
        chat["top_logprobs"] = body.get("top_logprobs") or 0
    effort = object_of(body.get("reasoning")).get("effort")
    if isinstance(effort, str):
        chat["reasoning_effort"] = effort
    wanted = object_of(object_of(body.get("text")).get("format"))
    if wanted.get("type") == "json_schema":
        schema = {key: value for key, value in wanted.items() if key != "type"}
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted.get("type") not in (None, "text"):
        chat["response_format"] = {"type": wanted["type"]}


def _set_tool_choice(
    chat: Json,
    choice: Any,
    listed: list[tuple[Tool, Mapping[str, Any]]],
    names: ToolNames,
) -> list[tuple[Tool, Mapping[str, Any]]]:
    """Say which tool the model may call; the tools that are left to it."""
    if choice is None or isinstance(choice, str):
        if choice is not None:
            chat["tool_choice"] = choice
        return listed
    kind = choice.get("type")
    if kind in ("function", "custom"):
        name = str(choice.get("name"))
        for tool, _ in listed:
            if tool.name == name and tool.namespace == choice.get("namespace", tool.namespace):
                function = {"name": names.flat(tool)}
                chat["tool_choice"] = {"type": "function", "function": function}
                return listed
        raise InvalidValue(f"tool_choice names {name!r}, which is not in tools", "tool_choice")
    if kind == "allowed_tools":
        allowed = {str(tool.get("name")) for tool in objects_in(choice.get("tools"))}
        chat["tool_choice"] = choice.get("mode", "auto")
        return [item for item in listed if item[0].name in allowed or item[0].namespace in allowed]
    raise UnsupportedParameter(f"tool_choice of type {kind!r} is not supported here", "tool_choice")


def _items(given: str | Iterable[Json]) -> Iterator[Json]:
    if isinstance(given, str):
        yield {"type": "message", "role": "user", "content": given}
    else:
        yield from given


def _called(items: Iterable[Json]) -> Iterator[Tool]:
    for item in items:
        kind = item.get("type")
        if kind in ("function_call", "custom_tool_call"):
            yield _tool_of(item, custom=kind == "custom_tool_call")


class _Conversation:
    """Reads items into chat messages: what the model said in one turn becomes one message."""

    def __init__(self, names: ToolNames) -> None:
        self._names = names
        self._messages: list[Json] = []
        self._turn: Json | None = None
        """The assistant's message that may still grow."""
        self._place = ""

    def read(self, instructions: str | None, items: Sequence[Json], first: int) -> list[Json]:
        """The chat messages; ``first`` is the number that the first item has in the request.

        Raises ``InvalidValue`` if there is none.
        """
        if instructions:
            self._messages.append({"role": "system", "content": instructions})
        for number, item in enumerate(items, first):
            self._place = f"input[{number}]"
            self._add(item)
        if not self._messages:
            raise InvalidValue("input must not be empty", "input")
        return self._messages

    def _add(self, item: Json) -> None:
        kind = item.get("type") or "message"
        if kind == "message":
            self._add_message(item)
        elif kind == "reasoning":
            self._add_reasoning(item)
        elif kind in ("function_call", "custom_tool_call"):
            self._add_call(item, custom=kind == "custom_tool_call")
        elif kind in ("function_call_output", "custom_tool_call_output"):
            self._turn = None
            output = item.get("output")
            text = output if isinstance(output, str) else "".join(map(_text_of, objects_in(output)))
            call = str(item.get("call_id"))
            self._messages.append({"role": "tool", "tool_call_id": call, "content": text})
        elif kind == "item_reference":
            message = f"{self._place} refers to an item that is not stored here"
            raise InvalidValue(message, self._place)
        # Other kinds are of tools that only OpenAI's own service runs.

    def _add_message(self, item: Json) -> None:
        role = item.get("role")
        if role == "assistant":
            text = self._content(item.get("content"))
            turn = self._assistant(after=("tool_calls",))
            turn["content"] = f"{turn['content'] or ''}{text}" if isinstance(text, str) else text
            return
        self._turn = None
        said = {"role": "system" if role == "developer" else role}
        self._messages.append({**said, "content": self._content(item.get("content"))})

    def _add_reasoning(self, item: Json) -> None:
        parts = objects_in(item.get("content")) or objects_in(item.get("summary"))
        text = "".join(map(_text_of, parts))
        if not text:
            return  # encrypted for a service that is not this one
        turn = self._assistant(after=("content", "tool_calls"))
        # Servers differ in the name; templates ignore what they do not know.
        turn["reasoning_content"] = turn["reasoning"] = turn.get("reasoning", "") + text

    def _add_call(self, item: Json, *, custom: bool) -> None:
        tool = _tool_of(item, custom=custom)
        arguments = item.get("arguments")
        if custom:
            arguments = orjson.dumps({"input": str(item.get("input") or "")}).decode()
        if not isinstance(arguments, str):
            raise InvalidValue("A function_call must have arguments, a JSON text", self._place)
        function = {"name": self._names.flat(tool), "arguments": arguments}
        call = {"id": str(item.get("call_id")), "type": "function", "function": function}
        self._assistant(after=()).setdefault("tool_calls", []).append(call)

    def _assistant(self, after: Sequence[str]) -> Json:
        """The assistant's message to add to: a new one if it has something of ``after``."""
        turn = self._turn
        if turn is None or any(turn.get(field) for field in after):
            turn = self._turn = {"role": "assistant", "content": None}
            self._messages.append(turn)
        return turn

    def _content(self, content: object) -> str | list[Json]:
        if isinstance(content, str):
            return content
        parts = [self._part(part) for part in list_of(content)]
        if all(part["type"] == "text" for part in parts):
            return "".join(part["text"] for part in parts)
        return parts

    def _part(self, part: Any) -> Json:
        kind = part.get("type") if isinstance(part, DICT) else None
        if kind in ("input_text", "output_text", "text", "refusal"):
            return {"type": "text", "text": _text_of(part)}
        if kind == "input_image" and isinstance(part.get("image_url"), str):
            image = {"url": part["image_url"]}
            if part.get("detail"):
                image["detail"] = part["detail"]
            return {"type": "image_url", "image_url": image}
        if kind == "input_audio":
            return {"type": "input_audio", "input_audio": part.get("input_audio")}
        place = f"{self._place}.content"
        raise UnsupportedParameter(f"Content of type {kind!r} is not supported here", place)


def _tool_of(item: Mapping[str, Any], *, custom: bool) -> Tool:
    return Tool(str(item.get("name")), str(item.get("namespace") or ""), custom)


def _text_of(part: Mapping[str, Any]) -> str:
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else ""
