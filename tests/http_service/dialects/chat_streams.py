"""Streams of chat completions for the tests of this folder: by hand, and at random."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from hypothesis import strategies as st

from actors.engines.contract import Kind
from http_service.streaming.fold import Fold

__all__ = ["answers", "call", "chunk", "completion_of", "reasoning", "text", "usage"]

Json: TypeAlias = dict[str, Any]

USAGE: Final = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


def chunk(delta: Json, finish: str | None = None, **choice: Any) -> Json:
    """A chunk with one choice."""
    choices = [{"index": 0, "delta": delta, "finish_reason": finish, **choice}]
    return {"id": "c", "object": "chat.completion.chunk", "choices": choices}


def text(said: str) -> Json:
    """A chunk that says something."""
    return chunk({"content": said})


def reasoning(thought: str) -> Json:
    """A chunk that thinks."""
    return chunk({"reasoning_content": thought})


def call(index: int, arguments: str = "", name: str = "", id_: str = "") -> Json:
    """A chunk with a part of a tool call."""
    part: Json = {"index": index, "function": {"arguments": arguments}}
    if name:
        part |= {"id": id_ or f"call_{index}", "type": "function"}
        part["function"]["name"] = name
    return chunk({"tool_calls": [part]})


def usage() -> Json:
    """The last chunk of a server that counts."""
    return {"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}


def completion_of(chunks: Iterable[Json]) -> Json:
    """The whole chat completion that ``chunks`` make up, by the service's own fold."""
    fold = Fold(Kind.CHAT, id="c", created=1, model="m")
    for each in chunks:
        fold.add(each)
    whole: Json = json.loads(fold.response())
    return whole


_words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
_json_objects = st.dictionaries(_words, st.integers() | _words, max_size=3)


@st.composite
def answers(draw: st.DrawFn) -> list[Json]:
    """Reasoning, then text, then tool calls in pieces, as servers order them, or none."""
    chunks = [chunk({"role": "assistant", "content": None})] if draw(st.booleans()) else []
    chunks += map(reasoning, draw(st.lists(_words, max_size=3)))
    chunks += map(text, draw(st.lists(_words, max_size=3)))
    calls = draw(st.lists(_json_objects, max_size=3))
    for index, arguments in enumerate(calls):
        whole = json.dumps(arguments)
        cut = draw(st.integers(0, len(whole)))
        chunks += [
            call(index, "", f"tool_{index}"),
            call(index, whole[:cut]),
            call(index, whole[cut:]),
        ]
    finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))
    chunks.append(chunk({}, finish))
    if draw(st.booleans()):
        chunks.append(usage())
    return chunks
