"""Vectors of llama.cpp's, one input after the other: what is computed can't be broken off.

Between two inputs it is seen whether the client still waits, so that a batch of two thousand texts
neither outlives its client nor keeps the process from ending.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.engines.contract import EngineRequest
from actors.engines.error_object import is_error
from actors.engines.errors import EngineRejected
from actors.engines.lenient_json import LIST, decode, encode
from actors.engines.refusals import error_of_object
from actors.supervision.errors import Cancelled

__all__ = ["embed"]


def embed(
    request: EngineRequest, handle: Callable[[bytes], bytes], cancelled: Callable[[], bool]
) -> bytes:
    """The document that answers ``request``; ``handle`` is llama.cpp's own way of one input.

    Blocks. Raises ``EngineRejected``, whatever else llama.cpp's error object means, ``Cancelled``.
    """
    body = request.body
    if body.get("dimensions") is not None:
        raise EngineRejected("this model's vectors can't be shortened", param="dimensions")
    data: list[Any] = []
    tokens = 0
    for index, text in enumerate(_inputs(body.get("input"))):
        if cancelled():
            raise Cancelled("the request was cancelled")
        asked = {"input": text, "encoding_format": body.get("encoding_format") or "float"}
        document = decode(handle(encode(asked)))
        if is_error(document):
            raise error_of_object(document, who="the model")
        data.append({**document["data"][0], "index": index})
        tokens += document["usage"]["prompt_tokens"]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return encode({"object": "list", "model": request.model, "data": data, "usage": usage})


def _inputs(given: Any) -> list[Any]:
    """Each of the inputs: a text, or a list of tokens."""
    if isinstance(given, LIST) and given and not isinstance(given[0], int | float):
        inputs: list[Any] = given
        return inputs
    return [given]
