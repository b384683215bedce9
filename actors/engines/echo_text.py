"""What the echo engine says: pure functions from a request body to the tokens of each choice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, assert_never

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


@dataclass(slots=True)
class Choice:
    """One choice of the answer: ``finish`` is OpenAI's ``finish_reason``."""

    tokens: tuple[str, ...]
    finish: str


@dataclass(slots=True)
class Plan:
    """The whole answer: the choices by index, and the tokens of the prompts and of the choices."""

    choices: tuple[Choice, ...]
    prompt_tokens: int
    completion_tokens: int


def plan(kind: Kind, body: Mapping[str, Any]) -> Plan:
    """The answer to ``body``: chat echoes the last user message, completions each prompt.

    With ``n``, choice ``prompt_index * n + i`` is the i-th of its prompt (OpenAI's order). Raises
    ``EngineRejected`` for prompts of token ids, for no prompt in a list and for a number of choices
    that it can't give.
    """
    match kind:
        case Kind.CHAT:
            spoken, prompts = _texts(body)
        case Kind.COMPLETIONS:
            spoken = prompts = _prompts(body)
        case _:
            assert_never(kind)
    n = int(body.get("n") or 1)
    asked = len(prompts) * n
    if not 0 < asked <= MAX_CHOICES:
        raise EngineRejected(
            f"the echo model gives 1 to {MAX_CHOICES} choices, not {asked}",
            param="n" if prompts else "prompt",
        )
    limit = _limit(body, MAX_TOKENS // asked)
    stops = _stops(body)
    choices = [_choice(prompt, stops, limit) for prompt in prompts]
    completion_tokens = n * sum([len(choice.tokens) for choice in choices])
    if n > 1:
        choices = [choice for choice in choices for _ in range(n)]
    if len(spoken) == 1 and n == 1 and not stops and choices[0].finish == "stop":
        # PERF: whoever says all of a text has counted it.
        return Plan((choices[0],), completion_tokens, completion_tokens)
    return Plan(tuple(choices), sum(map(_count, spoken)), completion_tokens)


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
    stop: Any = body.get("stop")
    if not stop:
        return []
    return [stop] if isinstance(stop, str) else [text for text in stop if text]


def _prompts(body: Mapping[str, Any]) -> list[str]:
    prompt: Any = body.get("prompt")
    # PERF: typed here, not cast: a cast is a call.
    several: list[Any] = prompt
    prompts = several if isinstance(prompt, list) else [prompt or ""]
    for text in prompts:
        if not isinstance(text, str):
            raise EngineRejected(
                "the echo model takes a prompt as text: a string or a list of strings",
                param="prompt",
            )
    return prompts


def _texts(body: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The text of every message, and of the one that is answered: the last one of a user."""
    messages: list[dict[str, Any]] = body.get("messages") or []
    texts: list[str] = []
    last, mine = "", None
    for message in messages:
        content: Any = message.get("content")
        last = content if type(content) is str else _text_of(content)
        texts.append(last)
        if message.get("role") == "user":
            mine = last
    return texts, [last if mine is None else mine]


def _text_of(parts: list[dict[str, Any]] | None) -> str:
    """The text parts of a message's content, joined."""
    return "".join([part.get("text") or "" for part in parts or () if part.get("type") == "text"])
