"""What the echo model answers for embeddings: a vector that follows from the text alone. Pure."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from actors.engines.errors import EngineRejected

__all__ = ["DIMENSIONS", "MAX_INPUTS", "MAX_NUMBERS", "embeddings"]

DIMENSIONS: Final = 64
"""Numbers of a vector where the request does not say."""

MAX_INPUTS: Final = 2_048
"""Inputs of one request."""

MAX_NUMBERS: Final = MAX_INPUTS * DIMENSIONS
"""Numbers of one response, all vectors together: some tens of milliseconds."""

Input: TypeAlias = str | list[int]
"""A text, or the ids of its tokens."""


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAI's list of embeddings of the ``input`` in ``body``: vectors of floats of length one.

    Equal inputs have equal vectors, and a longer vector of an input does not begin as its shorter
    one does. ``dimensions`` is honoured. Raises ``EngineRejected`` for no input, too many, and too
    many dimensions.
    """
    inputs = _inputs(body.get("input"))
    if not 0 < len(inputs) <= MAX_INPUTS:
        raise EngineRejected(
            f"the echo model embeds 1 to {MAX_INPUTS} inputs, not {len(inputs)}", param="input"
        )
    asked = body.get("dimensions")
    dimensions = DIMENSIONS if asked is None else int(asked)
    most = MAX_NUMBERS // len(inputs)
    if not 0 < dimensions <= most:
        raise EngineRejected(
            f"the echo model gives so many inputs 1 to {most} dimensions, not {dimensions}",
            param="dimensions",
        )
    tokens = sum(map(_count, inputs))
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(each, dimensions)}
            for index, each in enumerate(inputs)
        ],
        "model": body.get("model"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _inputs(given: Any) -> list[Input]:
    """The inputs: a text and a list of token ids are one, any other list is of several."""
    several: list[Any] = given
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        return []
    return [several] if several and isinstance(several[0], int | float) else several


def _count(given: Input) -> int:
    return len(given.split()) if isinstance(given, str) else len(given)


def _vector(given: Input, dimensions: int) -> list[float]:
    text = given if isinstance(given, str) else ",".join([str(int(each)) for each in given])
    seed = f"{type(given).__name__} {dimensions} {text}".encode("utf-8", "surrogatepass")
    drawn = struct.unpack(f"<{dimensions}i", hashlib.shake_256(seed).digest(4 * dimensions))
    length = math.hypot(*drawn)
    return [each / length for each in drawn]
