"""The record of an endpoint that models are asked on, and what the schemas of all of them share.

Rules of the schemas: only JSON types, as OpenAI documents them, and what routing a request needs.
Validation *and* the OpenAPI document are generated from them. Which numbers, how many stops and
which prompts make sense depends on the engine, so that is the engine's to say, and fields that are
not named pass untouched. In responses engines may add members, and a relayed one passes as its
upstream wrote it: described are the members that OpenAI's clients read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypeAlias

from msgspec import Meta, Struct

from actors.engines.contract import Kind
from actors.engines.dialect import Dialect
from http_service.errors import UnsupportedParameter
from http_service.response_store import ClientResponses
from http_service.streaming.translated import DialectWriter

__all__ = [
    "ApiEndpoint", "GenerateRequest", "ModelRequest", "Name", "StreamOptions", "Translation",
    "Usage", "Whole",
]  # fmt: skip

Name: TypeAlias = Annotated[str, Meta(min_length=1)]
Whole: TypeAlias = Annotated[float, Meta(multiple_of=1)]
"""A whole number, however it is written: JSON does not tell 256 from 256.0."""


class StreamOptions(Struct):
    """What a stream contains; allowed only with ``stream: true``."""

    include_usage: bool | None = None


class ModelRequest(Struct, kw_only=True):
    """The fields that every generating endpoint has."""

    model: Name
    stream: bool | None = None


class GenerateRequest(ModelRequest, kw_only=True):
    """The fields that OpenAI's older generating endpoints share."""

    stream_options: StreamOptions | None = None
    max_tokens: Whole | None = None
    n: Whole | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, Any] | None = None
    seed: Whole | None = None
    user: str | None = None


class Usage(Struct):
    """Tokens that were read and written; in a stream, where it was asked for."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Translation(NamedTuple):
    """A request of another API as a chat completion request, and what writes its response.

    ``chat`` is without a ``model``; ``writer(request_id)`` makes the writer; ``session`` is what
    the body calls its conversation; ``headers`` are further ones of the response;
    ``passable``: the client's own body says as much, to an upstream that speaks its API.
    ``refusal`` is why no chat completion says what the request does: only such an upstream can be
    asked, in the client's own words.
    """

    chat: dict[str, Any]
    writer: Callable[[str], DialectWriter]
    session: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    passable: bool = True
    refusal: UnsupportedParameter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiEndpoint:
    """One ``POST`` route on which a model is asked.

    Its route and operation, the check of its requests, its metrics and its switch follow from this
    record. ``kind`` is the kind of model that answers; ``label`` its name in the metrics; ``path``
    is, below ``/v1``, that of an upstream, too. ``operation`` and ``summary`` are OpenAPI's.
    ``id_prefix`` begins the ids of folded responses. ``body``, ``response`` and ``event`` are the
    schemas of its request, its whole response and one event of its stream; without ``event``, one
    document answers, and is not streamed. ``enabled`` names the setting that switches it, "" where
    it is always there. ``translate`` makes a chat completion request of a valid body, for an API
    that models are not asked in (a ``dialect``, which some upstreams speak themselves); it is given
    what the client has stored, and ``stored`` endpoints store, where that is switched on.
    ``reshape(request, document)`` makes what a valid request asked for of an engine's document.
    ``form``: the body is ``multipart/form-data``; ``media`` are the types in which it may be
    answered, beside JSON.
    """

    kind: Kind
    label: str
    path: str
    operation: str
    summary: str
    body: type[ModelRequest]
    response: type[Struct]
    event: type[Struct] | None = None
    id_prefix: str = ""
    enabled: str = ""
    translate: Callable[[Mapping[str, Any], ClientResponses], Translation] | None = None
    stored: bool = False
    reshape: Callable[[Any, bytes], bytes] | None = None
    dialect: Dialect | None = None
    form: bool = False
    media: tuple[str, ...] = ()
