"""``worker --speaks auto``: which dialects a running model server speaks well, and how it counts.

It is asked once for each dialect, with a request that says nothing: a server that has the path
refuses the body; and once for each way of counting, with a prompt. What no such question finds out
is known by the server's kind.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import msgspec

from actors.cli.model_server import START_ASK_TIMEOUT, Unanswered, api_url, ask_server
from actors.engines.counting import count_in
from actors.engines.dialect import WORDS, Continues, Counter, Dialect, Spoken
from actors.engines.errors import EngineUnavailable

__all__ = ["AUTO", "dialects_of", "way_of"]

_log = logging.getLogger("actors.worker")

AUTO: Final = "auto"
"""The word that has the server asked."""

_HAS_PATH: Final = frozenset((
    HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY,
))  # fmt: skip
_SPOKEN_BADLY: Final[Mapping[str, frozenset[Spoken]]] = MappingProxyType(
    {"llamacpp": frozenset((*Dialect, Counter.COUNT_TOKENS))}
)
"""By what ``owned_by`` says in a server's list of models: what it has, and others do better.

llama.cpp numbers neither the events of a Responses stream nor the items in them, which clients
can't read. In a Messages request it keeps the lines that Claude Code changes with each session at
the head of the prompt, so that no cache is of use, and it answers a bad one with 500. What is
translated is counted as it is translated.
"""


_GOES_ON: Final[Mapping[str, Continues]] = MappingProxyType(
    {
        "llamacpp": Continues.PREFILL,
        "vllm": Continues.CONTINUE_FINAL_MESSAGE,
        "sglang": Continues.CONTINUE_FINAL_MESSAGE,
    }
)
"""By ``owned_by``: how a server goes on with the last message of the assistant."""


class _Model(msgspec.Struct):
    id: str = ""
    owned_by: str = ""


class _Models(msgspec.Struct):
    data: list[_Model]


def dialects_of(
    url: str, ask: Callable[[str, float, bytes | None], tuple[int, bytes]] = ask_server
) -> tuple[Spoken, ...]:
    """What the server of the base URL ``url`` speaks well; nothing where it does not say.

    Blocks for half a minute at most: see ``ask_server``.
    """
    base = api_url(url)
    try:
        models = _models(*ask(f"{base}/models", START_ASK_TIMEOUT, None))
        badly = {word for each in models for word in _SPOKEN_BADLY.get(each.owned_by, ())}
        model = next((each.id for each in models), "")
        asked = {
            word: ask(_place(base, word.path), START_ASK_TIMEOUT, _question(word, model))
            for word in WORDS
            if word not in badly
        }
    except Unanswered as error:
        _log.warning(
            "the server does not say what it speaks", extra={"url": url, "now": str(error)}
        )
        return ()
    words = tuple(word for word, answer in asked.items() if _speaks(word, *answer))
    statuses = {word: status for word, (status, _) in asked.items()}
    extra = {"url": url, "speaks": ",".join(words), "statuses": statuses}
    _log.info("the server was asked what it speaks", extra=extra)
    return words


def way_of(
    url: str, ask: Callable[[str, float, bytes | None], tuple[int, bytes]] = ask_server
) -> Continues | None:
    """How the server of the base URL ``url`` goes on with an answer; ``None`` if it does not say.

    It is known by the server's kind. Blocks for half a minute at most: see ``ask_server``.
    """
    try:
        models = _models(*ask(f"{api_url(url)}/models", START_ASK_TIMEOUT, None))
    except Unanswered:
        models = []
    way = next((_GOES_ON[one.owned_by] for one in models if one.owned_by in _GOES_ON), None)
    _log.info("the server was asked how it goes on", extra={"url": url, "continues": way or "no"})
    return way


def _place(base: str, path: str) -> str:
    """Where the server has ``path``: below its base URL, or beside it."""
    if path.startswith("/v1/"):
        return base + path.removeprefix("/v1")
    return base.removesuffix("/v1") + path


def _question(word: Spoken, model: str) -> bytes:
    """Nothing, which is refused; but a count costs nothing, so it is asked for."""
    if word not in {*Counter}:
        return b"{}"
    question = {"model": model, "messages": [{"role": "user", "content": "Hi"}]}
    return msgspec.json.encode(question)


def _speaks(word: Spoken, status: int, body: bytes) -> bool:
    if word not in {*Counter}:
        return status in _HAS_PATH
    try:
        return status == HTTPStatus.OK and count_in(body) > 0
    except EngineUnavailable:
        return False


def _models(status: int, body: bytes) -> list[_Model]:
    if status != HTTPStatus.OK:
        return []
    try:
        return msgspec.json.decode(body, type=_Models).data
    except msgspec.DecodeError:
        return []
