"""``worker --speaks auto``: which dialects a running model server speaks well.

It is asked once for each, with a request that says nothing: a server that has the path refuses the
body. What no such question finds out is known by the server's kind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec

from actors.cli.model_server import START_ASK_TIMEOUT, Unanswered, api_url, ask_server
from actors.engines.dialect import Dialect

__all__ = ["AUTO", "dialects_of"]

_log = logging.getLogger("actors.worker")

AUTO: Final = "auto"
"""The word that has the server asked."""

_HAS_PATH: Final = frozenset((
    HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY,
))  # fmt: skip
_SPOKEN_BADLY: Final[Mapping[str, frozenset[Dialect]]] = MappingProxyType(
    {"llamacpp": frozenset((Dialect.RESPONSES,))}
)
"""By what ``owned_by`` says in a server's list of models: the dialects that it has, and that the
clients of that dialect can't read. llama.cpp numbers neither the events of a Responses stream nor
the items in them."""


class _Model(msgspec.Struct):
    owned_by: str = ""


class _Models(msgspec.Struct):
    data: list[_Model]


def dialects_of(
    url: str, ask: Callable[[str, float, bytes | None], tuple[int, bytes]] = ask_server
) -> tuple[Dialect, ...]:
    """The dialects of the server of the base URL ``url``; none where it does not say.

    Blocks for half a minute at most: see ``ask_server``.
    """
    base = api_url(url)
    try:
        badly = _spoken_badly(*ask(f"{base}/models", START_ASK_TIMEOUT, None))
        statuses = {
            dialect: ask(f"{base}/{dialect}", START_ASK_TIMEOUT, b"{}")[0]
            for dialect in Dialect
            if dialect not in badly
        }
    except Unanswered as error:
        _log.warning(
            "the server does not say what it speaks", extra={"url": url, "now": str(error)}
        )
        return ()
    spoken = tuple(dialect for dialect, status in statuses.items() if status in _HAS_PATH)
    extra = {"url": url, "speaks": ",".join(spoken), "statuses": statuses}
    _log.info("the server was asked what it speaks", extra=extra)
    return spoken


def _spoken_badly(status: int, body: bytes) -> frozenset[Dialect]:
    """What a server with this list of models speaks badly."""
    if status != HTTPStatus.OK:
        return frozenset()
    try:
        models = msgspec.json.decode(body, type=_Models).data
    except msgspec.DecodeError:
        return frozenset()
    return frozenset(dialect for each in models for dialect in _SPOKEN_BADLY.get(each.owned_by, ()))
