"""How the echo engine's answer looks: pure functions from a plan to chunks, with their tokens.

PERF: a stream's chunks are events already. All but a token's text is the same in each of them, so
it is encoded once, and a token costs a fifth of a chunk object that the service encodes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from orjson import dumps

from actors.engines.contract import Chunk, Kind
from actors.engines.echo_text import Choice, Plan

__all__ = ["streamed", "whole"]

_TOKEN: Final = {
    Kind.CHAT: (
        b'{"index":%d,"delta":{"content":',
        b'},"logprobs":null,"finish_reason":null}]}\n\n',
    ),
    Kind.COMPLETIONS: (
        b'{"index":%d,"text":',
        b',"logprobs":null,"finish_reason":null}]}\n\n',
    ),
}
"""What stands before and after a token's text, from its choice on."""


def streamed(kind: Kind, head: dict[str, Any], answer: Plan) -> Iterator[tuple[bytes, int]]:
    """Each choice's role (of a chat), its tokens one by one, its end; at last the usage.

    ``head`` are the fields that every chunk begins with.
    """
    begin = b"data: %b" % dumps({**head, "choices": []})[:-2]  # up to where a choice stands
    before, after = _TOKEN[kind]
    for index, choice in enumerate(answer.choices):
        if kind is Kind.CHAT:
            yield _event(head, _said(kind, index, {"role": "assistant", "content": ""})), 0
        before_text = begin + before % index
        for token in choice.tokens:
            yield before_text + dumps(token) + after, 1
        yield _event(head, _said(kind, index, {}, choice.finish)), 0
    yield b"data: %b\n\n" % dumps(_usage(head, answer)), 0


def whole(kind: Kind, head: dict[str, Any], answer: Plan) -> Iterator[tuple[Chunk, int]]:
    """Each choice in one chunk object; at last the usage."""
    for index, choice in enumerate(answer.choices):
        said = {"role": "assistant", "content": _text(choice)}
        yield {**head, "choices": [_said(kind, index, said, choice.finish)]}, len(choice.tokens)
    yield _usage(head, answer), 0


def _event(head: dict[str, Any], choice: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % dumps({**head, "choices": [choice]})


def _said(
    kind: Kind, index: int, delta: dict[str, str], finish: str | None = None
) -> dict[str, Any]:
    rest = {"logprobs": None, "finish_reason": finish}
    if kind is Kind.CHAT:
        return {"index": index, "delta": delta, **rest}
    return {"index": index, "text": delta.get("content", ""), **rest}


def _text(choice: Choice) -> str:
    return "".join(choice.tokens)


def _usage(head: dict[str, Any], answer: Plan) -> dict[str, Any]:
    spoken = answer.completion_tokens
    usage = {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": spoken,
        "total_tokens": answer.prompt_tokens + spoken,
    }
    return {**head, "choices": [], "usage": usage}
