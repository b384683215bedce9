"""Estimates how many tokens a chat completion request is, where no worker can count them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from http_service.dialects.chat_blocks import list_of, object_of

__all__ = ["ESTIMATED", "estimate_tokens"]

ESTIMATED: Final = ("x-callboard-estimate", "1")
"""The header of an answer that was not counted by a tokenizer."""

BYTES_A_TOKEN: Final = 4
"""English text in today's vocabularies; code and other languages have a few more tokens."""

MESSAGE_TOKENS: Final = 4
"""What a chat template writes around each message."""

MEDIA_TOKENS: Final = 768
"""A picture or a sound: what common models make of one of ordinary size."""


def estimate_tokens(chat: Mapping[str, Any]) -> int:
    """About how many tokens the prompt of ``chat``, a chat completion request, has; at least 1."""
    size = len(orjson.dumps(chat["tools"])) if chat.get("tools") else 0
    extra = 0
    for message in chat["messages"]:
        extra += MESSAGE_TOKENS
        content = message.get("content")
        if isinstance(content, str):
            size += len(content.encode("utf-8", "replace"))
        for part in list_of(content):
            text = part.get("text")
            if isinstance(text, str):
                size += len(text.encode("utf-8", "replace"))
            else:
                extra += MEDIA_TOKENS
        for call in list_of(message.get("tool_calls")):
            size += len(orjson.dumps(object_of(call).get("function")))
    return max(1, extra + -(-size // BYTES_A_TOKEN))
