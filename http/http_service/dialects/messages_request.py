"""A request of Anthropic's Messages API as a chat completion request. Pure.

Source: Anthropic's API reference, ``POST /v1/messages``. What can't be honoured is refused by name;
what only concerns Anthropic's own service (cache control, context management, billing) is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import orjson

from actors.engines.lenient_json import DICT
from http_service.dialects.chat_blocks import list_of, object_of
from http_service.errors import InvalidValue, UnsupportedParameter

__all__ = ["messages_to_chat", "session_of"]

Json: TypeAlias = dict[str, Any]

BILLING: Final = "x-anthropic-billing-header:"
"""How a block begins that Claude Code puts in front of its prompt. It changes with every session,
so a prompt that kept it would share no prefix with any other."""

_SAME: Final = ("stream", "temperature", "top_p", "top_k")
_EFFORTS: Final = {"xhigh": "high", "max": "high"}
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def messages_to_chat(body: Mapping[str, Any], *, inline_system: bool = False) -> Json:
    """A valid ``body`` as a chat completion request.

    ``inline_system``: the model's chat template renders a system turn anywhere; otherwise one in
    the middle is folded into its neighbour. Raises ``InvalidValue`` that names the field.
    """
    chat: Json = {key: body[key] for key in _SAME if body.get(key) is not None}
    chat["messages"] = _Turns(inline_system=inline_system).read(body)
    if body.get("max_tokens") is not None:
        chat["max_completion_tokens"] = body["max_tokens"]
    if body.get("stop_sequences"):
        chat["stop"] = body["stop_sequences"]
    if body.get("stream"):
        chat["stream_options"] = {"include_usage": True}
    tools = [_function(tool) for tool in body.get("tools") or () if "input_schema" in tool]
    if tools:
        chat["tools"] = tools
    _set_tool_choice(chat, body.get("tool_choice") or {}, tools)
    output = object_of(body.get("output_config"))
    if isinstance(output.get("effort"), str):
        chat["reasoning_effort"] = _EFFORTS.get(output["effort"], output["effort"])
    if isinstance(output.get("format"), DICT):
        chat["response_format"] = _response_format(output["format"])
    user = object_of(body.get("metadata")).get("user_id")
    if isinstance(user, str):
        chat["user"] = user
    return chat


def session_of(body: Mapping[str, Any]) -> str | None:
    """The session that Claude Code names inside ``metadata.user_id``, a JSON text."""
    user = object_of(body.get("metadata")).get("user_id")
    if not isinstance(user, str) or not user.startswith("{"):
        return None
    try:
        found: Any = orjson.loads(user)
    except orjson.JSONDecodeError:
        return None
    session = found.get("session_id")
    return session if isinstance(session, str) and session else None


def _function(tool: Mapping[str, Any]) -> Json:
    function: Json = {"name": tool.get("name"), "parameters": tool["input_schema"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function}


def _set_tool_choice(chat: Json, choice: Mapping[str, Any], tools: list[Json]) -> None:
    kind = choice.get("type")
    if kind is None:
        return
    if kind == "tool":
        name = choice.get("name")
        if all(tool["function"]["name"] != name for tool in tools):
            raise InvalidValue(f"tool_choice names {name!r}, which is not in tools", "tool_choice")
        chat["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif not isinstance(kind, str) or kind not in _CHOICES:
        raise InvalidValue(f"tool_choice.type must not be {kind!r}", "tool_choice.type")
    elif tools:  # servers refuse a choice among no tools
        chat["tool_choice"] = _CHOICES[kind]
    if choice.get("disable_parallel_tool_use") and tools:
        chat["parallel_tool_calls"] = False


def _response_format(wanted: Mapping[str, Any]) -> Json:
    if wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), DICT):
        param = "output_config.format"
        raise InvalidValue(f"{param} must have type json_schema and a schema", param)
    return {
        "type": "json_schema",
        "json_schema": {"name": "output", "schema": wanted["schema"], "strict": True},
    }


class _Turns:
    """Reads the turns of a conversation into chat messages, in order."""

    def __init__(self, *, inline_system: bool) -> None:
        self._inline = inline_system
        self._system: list[str] = []
        self._messages: list[Json] = []
        self._held: list[str] = []
        """System texts that wait for the next user turn."""
        self._place = ""

    def read(self, body: Mapping[str, Any]) -> list[Json]:
        """The chat messages of ``body``."""
        self._place = "system"
        self._system += self._texts(body.get("system") or ())
        for number, turn in enumerate(body["messages"]):
            self._place = f"messages[{number}].content"
            role, content = turn["role"], turn["content"]
            if role == "system":
                self._add_system("\n".join(self._texts(content)))
            elif role == "assistant":
                self._add_assistant(content)
            else:  # newer clients have further words for what the user's side says
                self._add_user(content)
        if self._held:
            self._say([{"type": "text", "text": ""}])
        if self._system:
            self._messages.insert(0, {"role": "system", "content": "\n".join(self._system)})
        return self._messages

    def _add_system(self, text: str) -> None:
        """A system turn in the middle: every request stays an extension of the one before."""
        last = self._messages[-1] if self._messages else None
        if last is None:
            self._system.append(text)
        elif last.get("tool_calls"):  # the results must come first
            self._held.append(text)
        elif self._inline:
            self._messages.append({"role": "system", "content": text})
        elif last["role"] == "assistant":
            self._held.append(text)
        elif isinstance(last["content"], str):
            last["content"] = f"{last['content']}\n\n{text}" if last["content"] else text
        else:
            last["content"].append({"type": "text", "text": text})

    def _add_assistant(self, content: object) -> None:
        message: Json = {"role": "assistant"}
        texts: list[str] = []
        thoughts: list[str] = []
        calls: list[Json] = []
        for block in self._blocks(content):
            kind = block.get("type")
            if kind == "text":
                texts.append(self._text(block, "text"))
            elif kind == "thinking":
                thoughts.append(self._text(block, "thinking"))
            elif kind == "tool_use":
                calls.append(self._call(block))
            elif kind not in ("redacted_thinking", "server_tool_use", "web_search_tool_result"):
                raise self._unsupported(kind)
        message["content"] = "".join(texts) if texts or not calls else None
        if thoughts:  # servers differ in the name; templates ignore what they don't know
            message["reasoning_content"] = message["reasoning"] = "".join(thoughts)
        if calls:
            message["tool_calls"] = calls
        self._messages.append(message)

    def _add_user(self, content: object) -> None:
        parts: list[Json] = []
        pictures: list[Json] = []
        for block in self._blocks(content):
            kind = block.get("type")
            if kind == "tool_result":
                self._say(parts)
                parts = []
                pictures += self._add_result(block)
            elif kind == "text":
                parts.append({"type": "text", "text": self._text(block, "text")})
            elif kind == "image":
                parts.append(self._image(block))
            elif kind == "document":
                parts.append({"type": "text", "text": self._document(block)})
            else:
                raise self._unsupported(kind)
        self._say([*pictures, *parts])

    def _say(self, parts: list[Json]) -> None:
        """A user message of ``parts``, after the system texts that wait for one."""
        if not parts:
            return
        if self._held and self._inline:
            text = "\n\n".join(self._held)
            self._messages.append({"role": "system", "content": text})
        else:
            parts = [*({"type": "text", "text": text} for text in self._held), *parts]
        self._held.clear()
        if all(part["type"] == "text" for part in parts):
            text = "\n".join(part["text"] for part in parts if part["text"])
            self._messages.append({"role": "user", "content": text})
        else:
            self._messages.append({"role": "user", "content": parts})

    def _add_result(self, block: Mapping[str, Any]) -> list[Json]:
        """The ``tool`` message of a result; the pictures in it, which no such message can hold."""
        texts: list[str] = []
        pictures: list[Json] = []
        for part in self._blocks(block.get("content") or ""):
            kind = part.get("type")
            if kind == "text":
                texts.append(self._text(part, "text"))
            elif kind == "image":
                pictures.append(self._image(part))
            elif kind == "document":
                texts.append(self._document(part))
            else:
                raise self._unsupported(kind)
        text = "\n".join(texts)
        self._messages.append(
            {
                "role": "tool",
                "tool_call_id": self._text(block, "tool_use_id"),
                "content": f"Error: {text}" if block.get("is_error") else text,
            }
        )
        return pictures

    def _call(self, block: Mapping[str, Any]) -> Json:
        arguments = orjson.dumps(block.get("input") or {}).decode()
        function = {"name": self._text(block, "name"), "arguments": arguments}
        return {"id": self._text(block, "id"), "type": "function", "function": function}

    def _image(self, block: Mapping[str, Any]) -> Json:
        source = object_of(block.get("source"))
        if source.get("type") == "url" and isinstance(source.get("url"), str):
            return {"type": "image_url", "image_url": {"url": source["url"]}}
        if source.get("type") == "base64" and isinstance(source.get("data"), str):
            url = f"data:{source.get('media_type')};base64,{source['data']}"
            return {"type": "image_url", "image_url": {"url": url}}
        raise UnsupportedParameter("An image must have a source of type base64 or url", self._place)

    def _document(self, block: Mapping[str, Any]) -> str:
        source = object_of(block.get("source"))
        if source.get("type") == "text":
            return self._text(source, "data")
        raise UnsupportedParameter("A document must have a source of type text", self._place)

    def _texts(self, content: object) -> Iterator[str]:
        for block in self._blocks(content):
            if block.get("type") != "text":
                raise self._unsupported(block.get("type"))
            text = self._text(block, "text")
            if not text.startswith(BILLING):
                yield text

    def _blocks(self, content: object) -> Iterator[Mapping[str, Any]]:
        if isinstance(content, str):
            yield {"type": "text", "text": content}
            return
        for block in list_of(content):
            if not isinstance(block, DICT):
                raise InvalidValue("A content block must be an object", self._place)
            yield block

    def _text(self, block: Mapping[str, Any], field: str) -> str:
        text = block.get(field)
        if not isinstance(text, str):
            raise InvalidValue(f"A {block.get('type')} block must have a {field}", self._place)
        return text

    def _unsupported(self, kind: object) -> UnsupportedParameter:
        return UnsupportedParameter(
            f"A content block of type {kind!r} is not supported here", self._place
        )
