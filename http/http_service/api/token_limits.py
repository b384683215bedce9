"""What a model's entry says of its tokens, held against what a request says of its own. Pure.

Only what needs no tokenizer is refused before a worker is asked: an answer longer than the model
gives, and a prompt that came as token ids. Of any other prompt the worker knows the length, and
what it says of one that is too long reaches the client with the same code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from actors.engines.errors import EngineRejected
from actors.engines.lenient_json import LIST
from http_service.errors import InvalidValue

__all__ = ["check_token_limits"]

_OUTPUTS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
"""How the endpoints call the most tokens of an answer."""
_PROMPTS: Final = ("prompt", "input")
"""Where a prompt may stand as token ids."""


def check_token_limits(
    body: Mapping[str, Any], context_length: int | None, max_output_tokens: int | None
) -> None:
    """Check a valid ``body`` for a model with these bounds, each ``None`` for none.

    Raises ``InvalidValue`` for an answer that is too long, ``EngineRejected`` with the code
    ``context_length_exceeded`` for a prompt that leaves no room for it.
    """
    numbers = ((name, body.get(name)) for name in _OUTPUTS)
    name, asked = next(
        ((name, int(given)) for name, given in numbers if isinstance(given, int | float)), ("", 0)
    )
    if max_output_tokens is not None and asked > max_output_tokens:
        raise InvalidValue(
            f"{name} is too large: {asked}. This model supports at most {max_output_tokens} "
            "output tokens",
            name,
        )
    if context_length is None:
        return
    for param in _PROMPTS:
        tokens = max(_lengths(body.get(param)), default=0)
        if tokens and tokens + asked > context_length:
            raise EngineRejected(
                f"This model's maximum context length is {context_length} tokens. However, you "
                f"requested {tokens + asked} tokens ({tokens} in the {param}; {asked} for the "
                "completion). Please reduce them.",
                code="context_length_exceeded",
                param=param,
            )


def _lengths(given: Any) -> Iterator[int]:
    """The tokens of each prompt that came as token ids."""
    if not isinstance(given, LIST) or not given:
        return
    if isinstance(given[0], int | float):
        yield len(given)
        return
    for each in given:
        if isinstance(each, LIST):
            yield len(each)
