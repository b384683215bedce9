"""Writes a chat completion as an answer of OpenAI's Responses API, streamed or whole. Pure.

Source: OpenAI's API reference, "Streaming events". Every event has the next sequence number; an
item is added, grows and is done before the next one is added; the response comes last, complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any, Final, TypeAlias

import orjson

from actors.engines.contract import Chunk
from actors.engines.lenient_json import DICT, encode
from http_service.dialects.chat_blocks import (
    BlockDelta,
    BlockKind,
    ChatBlocks,
    Growth,
    Step,
    TokenUsage,
)
from http_service.dialects.native import NativeEvents
from http_service.dialects.tool_names import ToolNames
from http_service.errors import ErrorReply

__all__ = ["ResponsesWriter"]

Json: TypeAlias = dict[str, Any]

_ECHOED: Final[Mapping[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What a response repeats of its request, and what stands there if the request did not say it."""

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_PREFIXES: Final = {
    BlockKind.REASONING: "rs",
    BlockKind.TEXT: "msg",
    BlockKind.REFUSAL: "msg",
    BlockKind.CALL: "fc",
}
_EVENTS: Final = {
    BlockKind.REASONING: "response.reasoning_text",
    BlockKind.TEXT: "response.output_text",
    BlockKind.REFUSAL: "response.refusal",
}


class ResponsesWriter:
    """Writes one answer: :meth:`begin`, :meth:`write` each chunk, :meth:`end`. Not synchronised.

    ``request_id`` makes the ids, ``request`` is what the client asked, ``tools`` names its tools;
    ``keep`` stores the response, once it is complete, and returns whether there was room for it.
    """

    def __init__(
        self,
        request_id: str,
        request: Mapping[str, Any],
        tools: ToolNames,
        *,
        keep: Callable[[Json], bool] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._request_id = request_id
        self._request = request
        self._tools = tools
        self._keep = keep
        self._clock = clock
        self._created = int(clock())
        self._blocks = ChatBlocks()
        self._native: NativeEvents | None = None
        self._output: list[Json] = []
        self._item: Json = {}
        self._pieces: list[str] = []
        self._logprobs: list[Any] = []
        self._number = 0

    def begin(self) -> bytes:
        """The events before the first item. PERF: sent with the first chunk."""
        response = self._response("in_progress")
        created = self._event("response.created", response=response)
        return created + self._event("response.in_progress", response=response)

    def write(self, chunk: Chunk) -> bytes:
        """The events that ``chunk`` brings, which may be none. Raises what ``ChatBlocks`` does."""
        return b"".join(map(self._write, self._blocks.add(chunk)))

    def end(self) -> bytes:
        """The events that complete the answer."""
        rest = b"".join(map(self._write, self._blocks.end()))
        response = self._ended()
        return rest + self._event(f"response.{response['status']}", response=response)

    def passed(self, native: bytes) -> None:
        """Events, or a whole answer, that an engine wrote in this API and the client gets."""
        if self._native is None:
            self._native = NativeEvents()
        self._native.passed(native)

    def fail(self, reply: ErrorReply) -> bytes:
        """The event that ends a stream that can't be completed; nothing comes after it."""
        response = self._response("failed")
        if self._native is not None:
            self._number = self._native.next_number
            response["id"] = self._native.response_id or response["id"]
        response["error"] = {"code": "server_error", "message": reply.message}
        return self._event("response.failed", response=response)

    def error_document(self, reply: ErrorReply) -> bytes:
        """The body of an HTTP error: as for every other request of OpenAI's."""
        return reply.body()

    @property
    def completion_tokens(self) -> int | None:
        """The engine's own count of output tokens, if a chunk or a native event carried one."""
        if self._native is not None:
            return self._native.output_tokens
        return None if self._blocks.usage is None else self._blocks.usage.completion

    def document(self, completion: Mapping[str, Any]) -> Json:
        """The whole answer for a whole chat completion."""
        for delta in chain(self._blocks.add(dict(completion)), self._blocks.end()):
            self._write(delta)
        return self._ended()

    def _write(self, delta: BlockDelta | Growth) -> bytes:
        if isinstance(delta, Growth):
            return self._write_growth(delta)
        if delta.step is Step.OPEN:
            return self._open(delta)
        if delta.step is Step.GROW:
            self._pieces.append(delta.text)
            self._logprobs += delta.logprobs
            if delta.kind is not BlockKind.CALL:
                return self._grow(_EVENTS[delta.kind], delta)
            if self._item["type"] == "custom_tool_call":
                return b""  # its text stands inside JSON, which must be whole to be read
            return self._item_event("response.function_call_arguments.delta", delta=delta.text)
        item = self._item
        incomplete = self._blocks.finish_reason in _INCOMPLETE
        item["status"] = "incomplete" if incomplete else "completed"
        text = "".join(self._pieces)
        events = (
            self._close_call(text)
            if delta.kind is BlockKind.CALL
            else self._close(delta.kind, text)
        )
        self._output.append(item)
        return events + self._event(
            "response.output_item.done", output_index=len(self._output) - 1, item=item
        )

    def _write_growth(self, delta: Growth) -> bytes:
        """PERF: the texts are written as they came."""
        self._pieces += delta.texts
        event = f"{_EVENTS[delta.kind]}.delta"
        before = f'event: {event}\ndata: {{"type":"{event}","sequence_number":'.encode()
        item = encode(self._item["id"])
        place = b',"item_id":%b,"output_index":%d,"content_index":0,"delta":"' % (item, self._index)
        after = b'","logprobs":[]}\n\n' if delta.kind is BlockKind.TEXT else b'"}\n\n'
        first, self._number = self._number, self._number + len(delta.inside)
        return b"".join([
            b"%b%d%b%b%b" % (before, number, place, inside, after)
            for number, inside in enumerate(delta.inside, first)
        ])  # fmt: skip

    def _open(self, delta: BlockDelta) -> bytes:
        self._pieces, self._logprobs = [], []
        item = self._item = self._new_item(delta)
        added = self._event("response.output_item.added", output_index=self._index, item=item)
        if delta.kind is BlockKind.CALL:
            return added
        part = _part(delta.kind, "", [])
        return added + self._part_event("response.content_part.added", part=part)

    def _new_item(self, delta: BlockDelta) -> Json:
        item: Json = {
            "id": f"{_PREFIXES[delta.kind]}_{self._request_id}_{self._index}",
            "status": "in_progress",
        }
        if delta.kind is BlockKind.REASONING:
            return {**item, "type": "reasoning", "summary": [], "content": []}
        if delta.kind is not BlockKind.CALL:
            return {**item, "type": "message", "role": "assistant", "content": []}
        tool = self._tools.tool(delta.name)
        item["call_id"] = delta.call_id or f"call_{self._request_id}_{self._index}"
        item["name"] = tool.name
        if tool.namespace:
            item["namespace"] = tool.namespace
        if tool.custom:
            return {**item, "type": "custom_tool_call", "input": ""}
        return {**item, "type": "function_call", "arguments": ""}

    def _grow(self, event: str, delta: BlockDelta) -> bytes:
        if delta.kind is BlockKind.TEXT:
            return self._part_event(f"{event}.delta", delta=delta.text, logprobs=[*delta.logprobs])
        return self._part_event(f"{event}.delta", delta=delta.text)

    def _close(self, kind: BlockKind, text: str) -> bytes:
        part = _part(kind, text, self._logprobs)
        event = f"{_EVENTS[kind]}.done"
        if kind is BlockKind.TEXT:
            done = self._part_event(event, text=text, logprobs=self._logprobs)
        elif kind is BlockKind.REFUSAL:
            done = self._part_event(event, refusal=text)
        else:
            done = self._part_event(event, text=text)
        self._item["content"] = [part]
        return done + self._part_event("response.content_part.done", part=part)

    def _close_call(self, text: str) -> bytes:
        item = self._item
        if item["type"] == "function_call":
            item["arguments"] = text or "{}"
            return self._item_event(
                "response.function_call_arguments.done", name=item["name"], arguments=text or "{}"
            )
        item["input"] = _input_of(text)
        event = "response.custom_tool_call_input"
        return self._item_event(f"{event}.delta", delta=item["input"]) + self._item_event(
            f"{event}.done", input=item["input"]
        )

    @property
    def _index(self) -> int:
        """The place of the open item."""
        return len(self._output)

    def _ended(self) -> Json:
        reason = _INCOMPLETE.get(self._blocks.finish_reason or "")
        response = self._response("incomplete" if reason else "completed")
        if reason:
            response["incomplete_details"] = {"reason": reason}
        else:
            response["completed_at"] = int(self._clock())
        response["usage"] = _usage(self._blocks.usage or TokenUsage())
        if self._keep is not None:
            response["store"] = self._keep(response)
        return response

    def _response(self, status: str) -> Json:
        asked = self._request
        echoed = {
            key: default if asked.get(key) is None else asked[key]
            for key, default in _ECHOED.items()
        }
        return {
            "id": f"resp_{self._request_id}",
            "object": "response",
            "created_at": self._created,
            "completed_at": None,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": asked["model"],
            "output": [*self._output],
            "store": self._keep is not None,
            "usage": None,
            **echoed,
        }

    def _part_event(self, type_: str, **fields: Any) -> bytes:
        return self._item_event(type_, content_index=0, **fields)

    def _item_event(self, type_: str, **fields: Any) -> bytes:
        return self._event(type_, item_id=self._item["id"], output_index=self._index, **fields)

    def _event(self, type_: str, **fields: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        data = encode({"type": type_, "sequence_number": number, **fields})
        return b"event: %b\ndata: %b\n\n" % (type_.encode(), data)


def _part(kind: BlockKind, text: str, logprobs: list[Any]) -> Json:
    if kind is BlockKind.REASONING:
        return {"type": "reasoning_text", "text": text}
    if kind is BlockKind.REFUSAL:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _input_of(arguments: str) -> str:
    """The text for a custom tool; what a model wrote that is not the object it was asked for."""
    try:
        found: Any = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        return arguments
    given = found.get("input") if isinstance(found, DICT) else None
    return given if isinstance(given, str) else arguments


def _usage(usage: TokenUsage) -> Json:
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }
