"""``POST /v1/embeddings``: texts as vectors.

Clients ask for base64 unless told otherwise, and some read floats as an empty vector: what was
asked for is answered, whichever of the two the engine can.
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from actors.engines.contract import Kind
from actors.engines.errors import EngineUnavailable
from actors.engines.lenient_json import decode, encode
from http_service.api.endpoints.endpoint import ApiEndpoint, ModelRequest, Whole

__all__ = ["ENDPOINT", "EmbeddingsRequest", "as_asked"]


class EmbeddingsRequest(ModelRequest, kw_only=True):
    """The body of ``POST /v1/embeddings``: ``input`` is text, token ids, or a list of either."""

    input: str | Annotated[list[str | Whole | list[Whole]], Meta(min_length=1)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[float, Meta(multiple_of=1, ge=1)] | None = None
    user: str | None = None


class Embedding(Struct):
    """The vector of one input: numbers, or base64 of little-endian 32-bit floats."""

    object: str
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(Struct):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Struct):
    """The vectors, in the order of the inputs."""

    object: str
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage | None = None


_FIRST: Final = re.compile(rb'"embedding"\s*:\s*(["\[])')
"""How the first vector begins. PERF: a document that is as asked for is not decoded."""


def as_asked(request: Any, answer: bytes) -> bytes:
    """``answer`` with its vectors as ``request.encoding_format`` says, floats by default.

    Byte for byte where they are so already. Raises ``EngineUnavailable`` for anything but vectors.
    """
    base64 = request.encoding_format == "base64"
    first = _FIRST.search(answer)
    if first is None or (first[1] == b'"') is base64:
        return answer
    convert = _packed if base64 else _unpacked
    try:
        return _converted(answer, convert)
    except (LookupError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise EngineUnavailable("The engine's vectors can't be read.") from error


_MEMBERS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


def _converted(answer: bytes, convert: Callable[[Any], Any]) -> bytes:
    """``answer`` with each vector converted.

    PERF: item by item, so that other threads have their turn: a batch may be a million numbers.
    """
    try:
        members = _MEMBERS.decode(answer)
        items = _ITEMS.decode(members["data"])
    except msgspec.DecodeError:  # NaN is not JSON, but some servers write it
        document = decode(answer)
        for item in document["data"]:
            item["embedding"] = convert(item["embedding"])
        return encode(document)
    data = b",".join(_with_vector(decode(bytes(item)), convert) for item in items)
    members["data"] = msgspec.Raw(b"[%b]" % data)
    return msgspec.json.encode(members)


def _with_vector(item: Any, convert: Callable[[Any], Any]) -> bytes:
    return encode({**item, "embedding": convert(item["embedding"])})


def _packed(vector: Any) -> str:
    if isinstance(vector, str):
        return vector
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _unpacked(text: Any) -> list[float]:
    vector: list[float] = text
    if isinstance(text, list):
        return vector
    data = b64decode(text, validate=True)
    return [*struct.unpack(f"<{len(data) // 4}f", data)]


ENDPOINT: Final = ApiEndpoint(
    kind=Kind.EMBEDDINGS,
    label="embeddings",
    path="/v1/embeddings",
    operation="createEmbedding",
    summary="Make vectors of texts",
    body=EmbeddingsRequest,
    response=EmbeddingList,
    reshape=as_asked,
)
