"""One generating request, from the moment it is counted to its line in the log.

Invariant: whatever happens to the request, :meth:`Call.end` takes effect once: the guard is
closed, the request leaves the in-flight set, and an engine that may still work is told to stop.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from actors.engines.contract import Context, Engine, EngineRequest, Sink
from http_service.access_log import LONGEST, AccessRecord, log_request
from http_service.error_types import ErrorType
from http_service.errors import reply_for
from http_service.inflight import InflightRequests
from http_service.metrics import InflightGuard

__all__ = ["Call"]

_log: Final = logging.getLogger("http_service.calls")


class Call:
    """Ties one request's engine, sink, cancellation and bookkeeping together.

    ``model`` is the name the client gave, also where no such model exists; ``path`` is for the log.
    """

    def __init__(
        self,
        guard: InflightGuard,
        inflight: InflightRequests,
        model: str,
        context: Context,
        path: str,
    ) -> None:
        self.guard = guard
        self.path = path[:LONGEST]
        self.context = context
        self._inflight = inflight
        self.model = model[:LONGEST]
        self._sink: Sink | None = None
        inflight.add(self)

    @property
    def request_id(self) -> str:
        """The client's name for the request, or ours."""
        return self.context.request_id

    def start(self, engine: Engine, request: EngineRequest, sink: Sink) -> None:
        """Have ``engine`` answer into ``sink``; what it raises ends the sink instead."""
        self._sink = sink
        try:
            engine.start(request, sink, self.context)
        except BaseException as error:  # noqa: BLE001  # foreign code on the loop's thread: told and logged by the sink's owner
            sink.fail(error)

    def cut(self, error: BaseException) -> None:
        """End the request with ``error`` and stop its engine. Any thread; returns at once.

        The sink comes first, or the engine's own "cancelled" would be the reason told.
        """
        if self._sink is not None:
            self._sink.fail(error)
        self.context.token.cancel()

    def mark(self, error: BaseException) -> None:
        """Note for the metrics how the request failed."""
        self.guard.mark(reply_for(error).error_type)

    def report(self, error: BaseException) -> None:
        """:meth:`mark`, and log what the client of a running stream was not told."""
        self.mark(error)
        if reply_for(error).status == 500:
            _log.error("an engine failed in a stream", exc_info=error, extra=dict(self.summary()))

    def end(self) -> bool:
        """Close the books; only the first call does, and returns True."""
        if not self.guard.close():
            return False
        self._inflight.discard(self)
        # NOTE: not after a success: the engine may just be putting its connection back into a pool,
        # and would take the cancellation for a reason to close it.
        if self.guard.error_type is not ErrorType.NONE:
            self.context.token.cancel()
        return True

    def conclude(self, status: int) -> None:
        """:meth:`end`, and log the request as answered with ``status``. Idempotent."""
        if not self.end():
            return
        log_request(
            AccessRecord(
                request_id=self.context.request_id,
                method="POST",
                path=self.path,
                status=status,
                elapsed_ms=round(self.guard.elapsed * 1000, 3),
                **self.summary(),
            )
        )

    def summary(self) -> Mapping[str, Any]:
        """The call's part of its log line."""
        return {
            "model": self.guard.metrics.model,
            "endpoint": self.guard.endpoint,
            "request_type": self.guard.request_type,
            "error_type": self.guard.error_type.value or None,
            "tokens": self.guard.tokens,
        }
