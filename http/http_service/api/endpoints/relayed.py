"""Endpoints that are only relayed: body and answer pass as they came, for the server to read.

One row each. A path below ``/v1`` is asked below an upstream's base URL, any other beside it: a
server has ``/rerank`` and ``/v1/rerank`` in the same place as this service.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from actors.engines.contract import Kind
from http_service.api.endpoints.endpoint import ApiEndpoint, ModelRequest

__all__ = ["ENDPOINTS", "Document", "RelayedRequest"]


class RelayedRequest(ModelRequest, kw_only=True):
    """The body of an endpoint that is relayed: beside ``model``, whatever its server reads."""


class Document(Struct):
    """Whatever the server answers."""


def _row(kind: Kind, path: str, operation: str, summary: str, label: str = "") -> ApiEndpoint:
    return ApiEndpoint(
        kind=kind,
        label=label or str(kind),
        path=path,
        operation=operation,
        summary=summary,
        body=RelayedRequest,
        response=Document,
    )


ENDPOINTS: Final = (
    _row(Kind.RERANK, "/v1/rerank", "rerank", "Sort documents by a query"),
    _row(Kind.RERANK, "/v2/rerank", "rerankV2", "Sort documents, in the shape of Cohere's API"),
    _row(Kind.RERANK, "/rerank", "rerankAtRoot", "Sort documents by a query"),
    _row(Kind.SCORE, "/v1/score", "score", "Say how alike texts are"),
    _row(Kind.SCORE, "/score", "scoreAtRoot", "Say how alike texts are"),
    _row(Kind.CLASSIFY, "/v1/classify", "classify", "Say which class texts belong to"),
    _row(Kind.CLASSIFY, "/classify", "classifyAtRoot", "Say which class texts belong to"),
    _row(Kind.POOLING, "/pooling", "pooling", "Give a model's hidden states"),
    _row(Kind.TOKENIZE, "/tokenize", "tokenize", "Take a text apart into tokens"),
    _row(Kind.TOKENIZE, "/detokenize", "detokenize", "Join tokens to a text", "detokenize"),
    _row(Kind.DECISIONS, "/v1/decisions", "createDecision", "Answer questions about an input"),
    _row(Kind.DECISIONS, "/v1/systemone", "systemOne", "The same, in the shape of TypeSafe's API"),
)
