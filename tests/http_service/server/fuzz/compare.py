"""The verdict on one case: ours must refuse whatever stock refuses, and else say the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from waitress.adjustments import Adjustments
from waitress.parser import HTTPRequestParser
from waitress.proxy_headers import PROXY_HEADERS
from waitress.task import rename_headers

from http_service.api.api_keys import RELAYED
from http_service.config import HttpServiceConfig
from http_service.server.limits import waitress_settings
from http_service.server.parser import Parser
from tests.http_service.server.fuzz.inputs import Case

__all__ = ["Outcome", "difference", "reading", "run"]

STATUSES: Final = frozenset((400, 413, 431, 501, 505))
ADJUSTMENTS: Final = Adjustments(**waitress_settings(HttpServiceConfig(body_limit=2000)))
SAME: Final = ("version", "connection_close", "chunked", "content_length")
"""Attributes that stock and ours have alike."""

LINE: Final = {
    "first_line": "raw",
    "command": "method",
    "request_uri": "target",
    "path": "path",
    "query": "query",
    "fragment": "fragment",
    "proxy_scheme": "scheme",
    "proxy_netloc": "authority",
}
"""What stock calls the parts of a request line, and what ours does."""


@dataclass
class Outcome:
    """What a parser made of one connection's bytes.

    ``requests`` are the accepted ones, each as :func:`reading` and its body; ``refused``
    is the status of what was not (0: the parser raised); ``left`` counts the bytes that belong to
    an unfinished request, or come after a refusal.
    """

    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    refused: int | None = None
    left: int = 0


def run(parser_class: Callable[[Adjustments], Any], reads: Iterable[bytes]) -> Outcome:
    """Feed ``reads`` as Waitress' channel does."""
    outcome = Outcome()
    request: Any = None
    for data in reads:
        rest = data
        while rest:
            if outcome.refused is not None:
                return outcome
            if request is None:
                request = parser_class(ADJUSTMENTS)
                outcome.left = 0
            try:
                taken = request.received(rest)
            except Exception:  # noqa: BLE001  # stock raises on some input; a channel dies of it
                outcome.refused = 0
                return outcome
            outcome.left += taken
            rest = rest[taken:]
            if request.completed:
                _record(outcome, request)
                request = None
    return outcome


def reading(request: Any) -> dict[str, Any]:
    """What a parser, ours or stock, read of a head; headers named as in WSGI's environment."""
    told = {name: getattr(request, name) for name in SAME}
    if isinstance(request, Parser):
        return told | {
            "headers": dict(request.headers),
            **{name: getattr(request.line, ours) for name, ours in LINE.items()},
        }
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        if name in PROXY_HEADERS:
            headers[RELAYED] = "1"
        else:
            headers[rename_headers.get(name, f"HTTP_{name}")] = value
    return told | {"headers": headers, **{name: getattr(request, name) for name in LINE}}


def difference(case: Case, ours: Callable[[Adjustments], Any] = Parser) -> str | None:
    """What is wrong with ours on ``case``; ``None`` if nothing is."""
    stock = run(HTTPRequestParser, case.reads)
    mine = run(ours, case.reads)
    if mine.refused is not None and mine.refused not in STATUSES:
        return f"ours ended with {mine.refused}, which is no answer"
    if mine.refused is None and stock.refused is not None:
        return f"stock refuses with {stock.refused}, ours does not"
    if len(mine.requests) > len(stock.requests):
        return "ours accepts a request that stock does not"
    for number, (theirs, found) in enumerate(zip(stock.requests, mine.requests, strict=False)):
        for name, value in theirs.items():
            # Stock overlooks a "close" that is one option of several (RFC 9110, 7.6.1).
            closes = name == "connection_close" and found[name] is True
            if found[name] != value and not closes:
                return f"request {number}: {name} is {found[name]!r}, with stock {value!r}"
    if mine.refused is None and (len(mine.requests), mine.left) != (
        len(stock.requests),
        stock.left,
    ):
        return f"{len(mine.requests)} and {mine.left} bytes; {len(stock.requests)} and {stock.left}"
    return None


def _record(outcome: Outcome, request: Any) -> None:
    if request.error is not None:
        outcome.refused = request.error.code
        return
    outcome.left = 0
    if request.empty:
        return
    told = reading(request)
    told["body"] = request.get_body_stream().read()
    outcome.requests.append(told)
    request.close()
