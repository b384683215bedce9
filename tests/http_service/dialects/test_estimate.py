"""The estimate of a prompt's tokens."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.dialects.estimate import MEDIA_TOKENS, MESSAGE_TOKENS, estimate_tokens


def user(content: Any, **fields: Any) -> dict[str, Any]:
    """A request of one message."""
    return {"messages": [{"role": "user", "content": content, **fields}]}


@pytest.mark.parametrize(
    ("chat", "tokens"),
    [
        (user("abcd"), 1 + MESSAGE_TOKENS),
        (user("abcde"), 2 + MESSAGE_TOKENS),
        (user([{"type": "text", "text": "abcd"}]), 1 + MESSAGE_TOKENS),
        (user([{"type": "image_url", "image_url": {}}]), MEDIA_TOKENS + MESSAGE_TOKENS),
        (user(None, tool_calls=[{"function": {"name": "f"}}]), 3 + MESSAGE_TOKENS),
        ({**user("abcd"), "tools": [{"a": 1}]}, 4 + MESSAGE_TOKENS),
    ],
)
def test_what_counts(chat: dict[str, Any], tokens: int) -> None:
    assert estimate_tokens(chat) == tokens


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_longer_prompt_never_has_fewer_tokens(first: str, second: str) -> None:
    assert estimate_tokens(user(first)) <= estimate_tokens(user(first + second))
