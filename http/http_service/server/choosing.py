"""Which server runs: ours on the event loop, or stock Waitress where its inside is another."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from actors.eventloop import EventLoop
from http_service.config import HttpServiceConfig
from http_service.server.intake import Intake
from http_service.server.listener import Listener
from http_service.server.plain import PlainServing
from http_service.server.selfcheck import mismatches
from http_service.server.serving import Serving
from http_service.streaming.exchange import InflightRequests

__all__ = ["AnyServing", "choose_serving"]

_log: Final = logging.getLogger("http_service.server")

AnyServing: TypeAlias = Serving | PlainServing


def choose_serving(
    app: Callable[..., Any],
    listener: Listener,
    config: HttpServiceConfig,
    inflight: InflightRequests,
    loop: EventLoop,
    intake: Intake,
) -> AnyServing:
    """Ours, if every internal of Waitress that it touches is as we know it; else the fallback."""
    found = mismatches()
    if not found:
        return Serving(app, listener, config, inflight, loop, intake)
    _log.warning(
        "this waitress is not the one we know: each unfinished answer holds a thread",
        extra={"mismatches": found},
    )
    return PlainServing(app, listener, config, inflight)
