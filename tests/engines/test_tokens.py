"""Tokens are what a client would see of a chunk, no more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import tokens_in


def delta(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


CASES: list[tuple[str, dict[str, Any] | bytes, int]] = [
    ("content", delta(content="a"), 1),
    ("a role", delta(role="assistant"), 0),
    ("a role with empty content", delta(role="assistant", content=""), 0),
    ("a role with null content", delta(role="assistant", content=None), 0),
    ("a role with content", delta(role="assistant", content="a"), 1),
    ("reasoning", delta(reasoning_content="hm"), 1),
    ("a tool call", delta(tool_calls=[{"index": 0}]), 1),
    ("a finish", {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, 0),
    ("text", {"choices": [{"index": 0, "text": "a"}]}, 1),
    ("empty text", {"choices": [{"index": 0, "text": ""}]}, 0),
    ("two choices", {"choices": [{"text": "a"}, {"text": "b"}]}, 2),
    ("one of two choices", {"choices": [{"text": "a"}, {"text": ""}]}, 1),
    ("usage", {"choices": [], "usage": {"completion_tokens": 9}}, 0),
    ("no choices", {}, 0),
    ("null choices", {"choices": None}, 0),
    ("choices that are none", {"choices": [1, None]}, 0),
    ("a relayed token", b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', 1),
    ("a relayed role", b'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n', 0),
    ("a comment", b": ping\n\n", 0),
    ("the end", b"data: [DONE]\n\n", 0),
    ("an error", b'data: {"error":{"message":"x"}}\n\n', 0),
    ("broken data", b'data: {"x\n\n', 0),
]


@pytest.mark.parametrize(("chunk", "tokens"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_chunk_has_one_token_per_choice_that_says_something(
    chunk: dict[str, Any] | bytes, tokens: int
) -> None:
    assert tokens_in(chunk) == tokens


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["choices", "delta", "text", "x"]), json))
def test_no_object_can_make_the_count_fail(chunk: dict[str, Any]) -> None:
    assert tokens_in(chunk) >= 0
