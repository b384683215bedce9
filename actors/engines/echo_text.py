"""What the echo engine says: pure functions from a request body to the tokens of each choice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, cast

from actors.engines.contract import Kind
from actors.engines.errors import EngineRejected

__all__ = ["MAX_CHOICES", "MAX_TOKENS", "Choice", "Plan", "plan"]

# Characters of a text whose tokens are all listed at once.
LISTED: Final = 64 * 1024
# Tokens of one answer, over all its choices: a 45 MiB prompt must not become millions of chunks.
MAX_TOKENS: Final = 65_536
# Choices of one answer: each costs two chunks beside its tokens.
MAX_CHOICES: Final = 1_024

# A token is a word with the white space before it, as language models have it.
_TOKEN: Final = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True, slots=True)
class Choice:
    """One choice of the answer: ``finish`` is OpenAI's ``finish_reason``."""

    tokens: tuple[str, ...]
    finish: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole answer: the choices by index, and how many tokens the prompts had."""

    choices: tuple[Choice, ...]
    prompt_tokens: int

    @property
    def completion_tokens(self) -> int:
        """The tokens of all choices."""
        return sum(len(choice.tokens) for choice in self.choices)


def plan(kind: Kind, body: Mapping[str, Any]) -> Plan:
    """The answer to ``body``: chat echoes the last user message, completions each prompt.

    With ``n``, choice ``prompt_index * n + i`` is the i-th of its prompt (OpenAI's order). Raises
    ``EngineRejected`` for prompts of token ids, for no prompt in a list and for a number of choices
    that it can't give.
    """
    prompts = [_last_user_text(body)] if kind is Kind.CHAT else _prompts(body)
    n = int(body.get("n") or 1)
    asked = len(prompts) * n
    if not 0 < asked <= MAX_CHOICES:
        raise EngineRejected(
            f"the echo model gives 1 to {MAX_CHOICES} choices, not {asked}",
            param="n" if prompts else "prompt",
        )
    limit = _limit(body, MAX_TOKENS // max(1, asked))
    stops = _stops(body)
    choices = [_choice(prompt, stops, limit) for prompt in prompts]
    spoken = _all_text(body) if kind is Kind.CHAT else prompts
    # PERF: whoever says all of a text has counted it.
    counted = {} if stops else _counted(prompts, choices)
    return Plan(
        choices=tuple(choice for choice in choices for _ in range(n)),
        prompt_tokens=sum(counted.get(text) or _count(text) for text in spoken),
    )


def _counted(prompts: list[str], choices: list[Choice]) -> dict[str, int]:
    pairs = zip(prompts, choices, strict=True)
    return {text: len(choice.tokens) for text, choice in pairs if choice.finish == "stop"}


def _choice(text: str, stops: list[str], limit: int) -> Choice:
    """``text`` up to the first stop string, then at most ``limit`` tokens of it."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    text = text[: min(found)] if found else text
    tokens = _tokens(text, limit + 1)
    if len(tokens) > limit:
        return Choice(tuple(tokens[:limit]), "length")
    return Choice(tuple(tokens), "stop")


def _tokens(text: str, most: int) -> list[str]:
    # PERF: a list of all tokens is made in C; of a long text it would be too long.
    if len(text) <= LISTED:
        return _TOKEN.findall(text)[:most]
    return [match.group() for match in islice(_TOKEN.finditer(text), most)]


def _count(text: str) -> int:
    if len(text) <= LISTED:
        return len(_TOKEN.findall(text))
    return sum(1 for _ in _TOKEN.finditer(text))


def _limit(body: Mapping[str, Any], most: int) -> int:
    asked = body.get("max_completion_tokens")
    if asked is None:
        asked = body.get("max_tokens")
    # Below 0 is no limit, as for llama.cpp.
    return most if asked is None or asked < 0 else min(int(asked), most)


def _stops(body: Mapping[str, Any]) -> list[str]:
    stop: Any = body.get("stop") or ()
    stops = [stop] if isinstance(stop, str) else cast("list[str]", stop)
    return [text for text in stops if text]


def _prompts(body: Mapping[str, Any]) -> list[str]:
    prompt = body.get("prompt")
    prompts = cast("list[object]", prompt if isinstance(prompt, list) else [prompt or ""])
    if not all(isinstance(text, str) for text in prompts):
        raise EngineRejected(
            "the echo model takes a prompt as text: a string or a list of strings", param="prompt"
        )
    return cast("list[str]", prompts)


def _last_user_text(body: Mapping[str, Any]) -> str:
    messages = cast("list[dict[str, Any]]", body.get("messages") or [])
    mine = [message for message in messages if message.get("role") == "user"] or messages
    return _text_of(mine[-1]) if mine else ""


def _all_text(body: Mapping[str, Any]) -> list[str]:
    messages = cast("list[dict[str, Any]]", body.get("messages") or [])
    return [_text_of(message) for message in messages]


def _text_of(message: Mapping[str, Any]) -> str:
    """A message's text: its content, or the text parts of its content joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = cast("list[dict[str, Any]]", content or [])
    return "".join(part.get("text") or "" for part in parts if part.get("type") == "text")
