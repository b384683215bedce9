"""Dialects: the APIs beside chat completions in which clients ask, and some servers answer.

A request of such a dialect goes through the service as the chat completion that it means, with the
client's own body beside it (:class:`Original`). An engine that speaks the dialect answers that
body, in :class:`Native` bytes; any other answers the chat completion, and is translated. Which one
is chosen for each attempt, so a retry may change it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, NoReturn, TypeAlias

from actors.engines.errors import NotTranslatable
from actors.suggestion import suggestion

__all__ = [
    "MIGRATION_LIMIT",
    "WORDS",
    "Continues",
    "Counter",
    "Dialect",
    "KeyHeader",
    "Native",
    "Original",
    "ReadEvents",
    "Spoken",
    "spoken",
]


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


class Counter(StrEnum):
    """How a server may be asked for the number of a prompt's tokens."""

    COUNT_TOKENS = "count_tokens"
    """Anthropic's ``/v1/messages/count_tokens``, with a client's own Messages request."""
    INPUT_TOKENS = "input_tokens"
    """llama.cpp's ``/v1/chat/completions/input_tokens``, with the chat completion request."""
    TOKENIZE = "tokenize"
    """vLLM's ``/tokenize``, with the messages and tools of the chat completion request."""

    @property
    def path(self) -> str:
        """Where it is asked; one that is not below ``/v1`` stands beside it."""
        return _COUNTERS[self]


_COUNTERS: Final = {
    Counter.COUNT_TOKENS: "/v1/messages/count_tokens",
    Counter.INPUT_TOKENS: "/v1/chat/completions/input_tokens",
    Counter.TOKENIZE: "/tokenize",
}

KeyHeader: TypeAlias = Literal["authorization", "x-api-key"]
"""Where a server reads its key: a bearer token, as OpenAI's does, or alone, as Anthropic's."""

Spoken: TypeAlias = Dialect | Counter
"""What an entry may say that its server speaks."""

WORDS: Final[tuple[Spoken, ...]] = (*Dialect, *Counter)
"""All of :data:`Spoken`."""


def spoken(word: str) -> Spoken:
    """What ``word`` names. Raises ``ValueError`` that suggests a known one."""
    found = next((each for each in WORDS if each == word), None)
    if found is None:
        hint = suggestion(word, WORDS)
        raise ValueError(f"unknown dialect {word!r:.100}: give one of {', '.join(WORDS)}{hint}")
    return found


class ReadEvents(bytes):
    """Whole events that were read already, comments not among them: what passes them on need not
    look into them again.

    PERF: an engine that relays has to decode, or recognise, each event in any case.
    """

    completion_tokens: int | None = None
    """The engine's own count, of an event with usage; such an event is alone."""
    only_usage: bool = False
    """It has usage, and no choices."""


class Native(ReadEvents):
    """Whole events, or a whole answer, in the dialect of the request's :class:`Original`.

    They reach the client as they are. The last of a stream's are those that complete it.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Original:
    """What the client sent: its body, and the headers that only a server of its dialect reads.

    ``refusal`` is raised by an engine that does not speak the dialect, where no chat completion
    says what was sent.
    """

    dialect: Dialect
    raw: bytes
    headers: tuple[tuple[str, str], ...] = ()
    refusal: NotTranslatable | None = None


class Continues(StrEnum):
    """How a server goes on with an answer that another one began."""

    PREFILL = "prefill"
    """It continues a last message of the assistant (llama.cpp)."""
    CONTINUE_FINAL_MESSAGE = "continue_final_message"
    """The same, where the request says ``continue_final_message`` (vLLM, SGLang)."""
    PROMPT = "prompt"
    """Completions only: the prompt with the text so far behind it."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        """``Continues(word)`` for an unknown word: a ``ValueError`` that suggests a known one."""
        hint = suggestion(str(value), cls)
        raise ValueError(f"unknown way to go on {value!r:.100}: give {', '.join(cls)}{hint}")


MIGRATION_LIMIT: Final = 3
"""How often other instances go on with one answer, where nothing else is said."""
