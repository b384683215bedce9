"""From a generator engine to a push engine: its generator runs on threads of its own.

Invariants: the generator is closed on every way out; the sink is ended exactly once, by the thread
that ran the generator, or by the executor if it never ran.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from actors.engines.contract import Chunk, Context, EngineRequest, GeneratorEngine, Sink
from actors.engines.executor import BoundedExecutor
from actors.engines.pacing import Pace
from actors.engines.tokens import tokens_in
from actors.supervision.errors import Cancelled

__all__ = ["GeneratorAdapter"]


class GeneratorAdapter:
    """A push engine around a generator engine; see ``adapters.as_push_engine``."""

    def __init__(self, engine: GeneratorEngine, *, max_running: int, max_waiting: int) -> None:
        self._engine = engine
        self._executor = BoundedExecutor(
            f"engine-{type(engine).__name__}", max_running=max_running, max_waiting=max_waiting
        )

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Begin to answer on a thread of this engine. Raises ``EngineBusy`` when full."""
        run = partial(_deliver, self._engine, request, sink, context)
        self._executor.submit(run, sink.fail, context.token)

    def close(self, timeout: float = 5.0) -> bool:
        """Refuse new requests, wait for the running ones; True if all ended in time."""
        return self._executor.close(timeout)


def _deliver(engine: GeneratorEngine, request: EngineRequest, sink: Sink, context: Context) -> None:
    try:
        _push_all(engine.generate(request, context), sink, context)
    except BaseException as error:  # noqa: BLE001  # whatever the engine raised is the sink's to tell
        sink.fail(error)
    else:
        sink.finish()


def _push_all(chunks: Iterator[Chunk], sink: Sink, context: Context) -> None:
    token = context.token
    pace = Pace(sink, token)
    try:
        for chunk in chunks:
            if token.cancelled:
                break
            sink.push(chunk, tokens_in(chunk))
            pace.keep()
    finally:
        # Not every iterator is a generator, but one that is must run its finally blocks now.
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    if token.cancelled:
        raise Cancelled("the request was cancelled")
