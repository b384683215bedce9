"""Dialects: the APIs beside chat completions in which clients ask, and some servers answer.

A request of such a dialect goes through the service as the chat completion that it means, with the
client's own body beside it (:class:`Original`). An engine that speaks the dialect answers that
body, in :class:`Native` bytes; any other answers the chat completion, and is translated. Which one
is chosen for each attempt, so a retry may change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NoReturn

from actors.suggestion import suggestion

__all__ = ["Dialect", "Native", "Original"]


class Dialect(StrEnum):
    """What a server may speak beside chat completions."""

    MESSAGES = "messages"
    """Anthropic's Messages API."""
    RESPONSES = "responses"
    """OpenAI's Responses API."""

    @property
    def path(self) -> str:
        """The endpoint that clients ask."""
        return f"/v1/{self}"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        """``Dialect(word)`` for an unknown word: a ``ValueError`` that suggests a known one."""
        hint = suggestion(str(value), cls)
        raise ValueError(f"unknown dialect {value!r:.100}: give {' or '.join(cls)}{hint}")


class Native(bytes):
    """Whole events, or a whole answer, in the dialect of the request's :class:`Original`.

    They reach the client as they are. The last of a stream's are those that complete it.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Original:
    """What the client sent: its body, and the headers that only a server of its dialect reads."""

    dialect: Dialect
    raw: bytes
    headers: tuple[tuple[str, str], ...] = ()
