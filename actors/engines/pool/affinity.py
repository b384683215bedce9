"""What keeps a request to an instance: its session, or how its prompt begins. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from actors.engines.contract import Context, EngineRequest
from actors.engines.pool.spec import PolicyName

__all__ = ["PREFIX_CHARACTERS", "key_of"]

PREFIX_CHARACTERS: Final = 256
"""Characters of a prompt that decide: about a system prompt's first lines, where apps differ."""

KeyOf = Callable[[EngineRequest, Context], str]


def key_of(policy: PolicyName) -> KeyOf | None:
    """How ``policy`` finds a request's key; ``None`` if keys make no difference to it."""
    return _KEYS.get(policy)


def session_key(request: EngineRequest, context: Context) -> str:
    """The session that the client named in a header, else its ``user``; empty without either."""
    session = context.session or request.body.get("user")
    return session if isinstance(session, str) else ""


def prefix_key(request: EngineRequest, _context: Context) -> str:
    """The first characters of the prompt, or of the conversation's messages with their roles."""
    body = request.body
    messages = body.get("messages")
    if isinstance(messages, list):
        return _conversation(cast("list[object]", messages))
    return _start_of(body.get("prompt"))


def _conversation(messages: list[object]) -> str:
    text = ""
    for message in messages:
        if len(text) >= PREFIX_CHARACTERS:
            break
        # PERF: a body is decoded JSON; asking for a Mapping would take ten times as long.
        if isinstance(message, dict):
            fields = cast("dict[str, Any]", message)
            text += f"{fields.get('role')}\n{_start_of(fields.get('content'))}\n"
    return text[:PREFIX_CHARACTERS]


def _start_of(content: Any) -> str:
    """The start of a text, of a list of texts or parts, or of a list of token ids."""
    if isinstance(content, str):
        return content[:PREFIX_CHARACTERS]
    if not isinstance(content, list):
        return ""
    text = ""
    for part in cast("list[object]", content):
        if len(text) >= PREFIX_CHARACTERS:
            break
        if isinstance(part, dict):
            part = cast("dict[str, Any]", part).get("text")
        text += part[:PREFIX_CHARACTERS] if isinstance(part, str) else f"{part} "[:64]
    return text[:PREFIX_CHARACTERS]


_KEYS: Final[Mapping[PolicyName, KeyOf]] = MappingProxyType(
    {PolicyName.SESSION: session_key, PolicyName.PREFIX: prefix_key}
)
