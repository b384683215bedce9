"""The one door from the three shapes of an engine to the push shape that the service calls."""

from __future__ import annotations

import inspect
from typing import Final, cast

from actors.engines.async_generator import AsyncGeneratorAdapter
from actors.engines.contract import AnyEngine, AsyncGeneratorEngine, Engine, GeneratorEngine
from actors.engines.generator import GeneratorAdapter

__all__ = ["MAX_RUNNING", "MAX_WAITING", "as_push_engine"]

# Requests of one engine that run at once, each on a thread: what most local models can batch.
MAX_RUNNING: Final = 32
# Requests that wait for their turn before a client is told to come back: about four rounds.
MAX_WAITING: Final = 128


def as_push_engine(
    engine: AnyEngine, *, max_running: int = MAX_RUNNING, max_waiting: int = MAX_WAITING
) -> Engine:
    """``engine`` in the push shape.

    A push engine is returned as it is, the limits are then its own affair. A generator engine
    gets ``max_running`` threads of its own; an async generator engine runs on the event loop
    shared by all such engines, at most ``max_running`` at once. ``max_waiting`` more requests
    wait; beyond that ``start`` raises ``EngineBusy``. Raises ``TypeError`` for anything else.
    """
    if isinstance(engine, Engine):
        return engine
    generate = getattr(engine, "generate", None)
    if not callable(generate):
        raise TypeError(
            f"{type(engine).__name__} is no engine: give it a method start(request, sink, context) "
            "or generate(request, context)"
        )
    function = inspect.unwrap(generate)
    if inspect.iscoroutinefunction(function):
        raise TypeError(
            f"{type(engine).__name__}.generate is a coroutine function and yields nothing: "
            "write an 'async def' that yields its chunks"
        )
    if inspect.isasyncgenfunction(function):
        return AsyncGeneratorAdapter(
            cast("AsyncGeneratorEngine", engine), max_running=max_running, max_waiting=max_waiting
        )
    return GeneratorAdapter(
        cast("GeneratorEngine", engine), max_running=max_running, max_waiting=max_waiting
    )
