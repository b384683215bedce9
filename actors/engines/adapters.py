"""The one door from the three shapes of an engine to the push shape that the service calls.

Invariants: the sink is ended exactly once; a generator is closed on every way out; of one engine at
most ``max_running`` requests run and ``max_waiting`` wait. A generator runs on threads of its own
engine, and the executor ends the sink of a request that never ran. All async generators share one
event loop on one thread.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import inspect
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Final, cast

from actors.engines.contract import (
    AnyEngine,
    AsyncGeneratorEngine,
    Chunk,
    Context,
    Engine,
    EngineRequest,
    GeneratorEngine,
    Sink,
)
from actors.engines.errors import EngineBusy
from actors.engines.executor import RETRY_AFTER, BoundedExecutor
from actors.engines.tokens import tokens_in
from actors.supervision.cancellation import CancellationToken, Registration
from actors.supervision.errors import Cancelled

__all__ = [
    "MAX_RUNNING",
    "MAX_WAITING",
    "AsyncGeneratorAdapter",
    "GeneratorAdapter",
    "as_push_engine",
]

_log: Final = logging.getLogger("actors.engines.adapters")

MAX_RUNNING: Final = 32
"""Requests of one engine that run at once, each on a thread: what most local models can batch."""
MAX_WAITING: Final = 128
"""Requests that wait for their turn before one is refused: about four rounds."""
_EXIT_SECONDS: Final = 1.0
"""How long the interpreter's exit waits for the event loop to stop."""


def as_push_engine(
    engine: AnyEngine, *, max_running: int = MAX_RUNNING, max_waiting: int = MAX_WAITING
) -> Engine:
    """``engine`` in the push shape.

    A push engine is returned as it is, the limits do not apply. A generator engine gets
    ``max_running`` threads of its own; an async generator engine runs on the event loop shared by
    all such engines, at most ``max_running`` at once. ``max_waiting`` more requests wait; beyond
    that ``start`` raises ``EngineBusy``. Raises ``TypeError`` for anything else.
    """
    if isinstance(engine, Engine):
        return engine
    generate = getattr(engine, "generate", None)
    if not callable(generate):
        raise TypeError(
            f"{type(engine).__name__} is not an engine: give it a method "
            "start(request, sink, context) or generate(request, context)"
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


class GeneratorAdapter:
    """A push engine around a generator engine; see :func:`as_push_engine`."""

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
    except BaseException as error:  # noqa: BLE001  # the sink reports whatever the engine raised
        sink.fail(error)
    else:
        sink.finish()


def _push_all(chunks: Iterator[Chunk], sink: Sink, context: Context) -> None:
    token = context.token
    backpressure = _Backpressure(sink, token)
    try:
        for chunk in chunks:
            if token.cancelled:
                break
            sink.push(chunk, tokens_in(chunk))
            backpressure.wait()
    finally:
        # Not every iterator is a generator, but one that is must run its finally blocks now.
        close = getattr(chunks, "close", None)
        if close is not None:
            close()
    if token.cancelled:
        raise Cancelled("the request was cancelled")


class _LoopThread:
    """One asyncio event loop on one daemon thread, started on first use, stopped at exit.

    An engine can't end it for the others: if one stops it, or raises what asyncio does not catch
    (``SystemExit``, ``KeyboardInterrupt``) in a task or a callback, that is logged and it goes on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped = False

    def get(self) -> asyncio.AbstractEventLoop:
        """The running loop. Callable from any thread."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(
                    target=self._run, args=(self._loop,), name="engines-asyncio", daemon=True
                )
                thread.start()
                atexit.register(self._stop, self._loop, thread)
            return self._loop

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stopped:
            error: BaseException | None = None
            try:
                loop.run_forever()
            except BaseException as escaped:  # noqa: BLE001  # the other engines go on
                error = escaped
            if not self._stopped:
                _log.error(
                    "an engine stopped the event loop of all async engines; started it again",
                    extra={"cause": repr(error)},
                )

    def _stop(self, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        self._stopped = True
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_EXIT_SECONDS)
        if not thread.is_alive():
            loop.close()


_LOOP: Final = _LoopThread()


class AsyncGeneratorAdapter:
    """A push engine around an async generator engine; see :func:`as_push_engine`."""

    def __init__(self, engine: AsyncGeneratorEngine, *, max_running: int, max_waiting: int) -> None:
        self._engine = engine
        self._turn = asyncio.Semaphore(max_running)  # bound to the loop where it is first awaited
        self._limit = max_running + max_waiting
        self._lock = threading.Lock()
        self._admitted = 0
        # The loop itself holds tasks weakly.
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Begin to answer on the shared event loop. Raises ``EngineBusy`` when full."""
        with self._lock:
            if self._admitted >= self._limit:
                raise EngineBusy("the engine is busy; try again soon", retry_after=RETRY_AFTER)
            self._admitted += 1
        loop = _LOOP.get()
        loop.call_soon_threadsafe(self._begin, loop, request, sink, context)

    def _begin(
        self, loop: asyncio.AbstractEventLoop, request: EngineRequest, sink: Sink, context: Context
    ) -> None:
        task = loop.create_task(self._deliver(request, sink, context))
        self._tasks.add(task)

        def cancel() -> None:
            loop.call_soon_threadsafe(task.cancel)

        registration = context.token.on_cancel(cancel)
        task.add_done_callback(lambda _: self._end(task, registration, sink, context))

    async def _deliver(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        try:
            async with self._turn:
                await _push_all_async(self._engine.generate(request, context), sink, context)
        except (SystemExit, KeyboardInterrupt) as error:
            # asyncio would let these two out of the loop, and end every other engine's answers.
            raise RuntimeError("the engine tried to end the process") from error

    def _end(
        self, task: asyncio.Task[None], registration: Registration, sink: Sink, context: Context
    ) -> None:
        registration.unregister()
        self._tasks.discard(task)
        with self._lock:
            self._admitted -= 1
        error = None if task.cancelled() else task.exception()
        if context.token.cancelled:
            if error is not None:
                _log.warning(
                    "an engine failed while it was cancelled",
                    extra={"request_id": context.request_id, "cause": repr(error)},
                )
            sink.fail(Cancelled("the request was cancelled"))
        elif task.cancelled():
            sink.fail(RuntimeError("the engine cancelled its own task"))
        elif error is not None:
            sink.fail(error)
        else:
            sink.finish()


async def _push_all_async(chunks: AsyncIterator[Chunk], sink: Sink, context: Context) -> None:
    backpressure = _AsyncBackpressure(sink, asyncio.get_running_loop())
    try:
        async for chunk in chunks:
            if context.token.cancelled:
                break
            sink.push(chunk, tokens_in(chunk))
            await backpressure.wait()
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            # The task may be cancelled again here; the generator's clean-up is not to be cut.
            with contextlib.suppress(asyncio.CancelledError):
                await close()


class _Backpressure:
    """Pauses a thread that pushes for as long as the client of its request does not keep up.

    The wait ends when the sink has room again, when the request has ended (the sink signals that
    too), or when its token is cancelled.
    """

    __slots__ = ("_room", "_sink", "_token")

    def __init__(self, sink: Sink, token: CancellationToken) -> None:
        self._sink = sink
        self._token = token
        self._room = threading.Event()

    def wait(self) -> None:
        """Return once the client keeps up or the request is over; call it after each push."""
        if self._sink.has_room(self._room.set):
            return
        with self._token.on_cancel(self._room.set):
            self._room.wait()
        self._room.clear()


class _AsyncBackpressure:
    """:class:`_Backpressure` for a coroutine, whose task is cancelled with its request."""

    __slots__ = ("_loop", "_room", "_sink")

    def __init__(self, sink: Sink, loop: asyncio.AbstractEventLoop) -> None:
        self._sink = sink
        self._loop = loop
        self._room = asyncio.Event()

    async def wait(self) -> None:
        """Return once the client keeps up; await it after each push."""
        if self._sink.has_room(self._wake):
            return
        await self._room.wait()
        self._room.clear()

    def _wake(self) -> None:
        self._loop.call_soon_threadsafe(self._room.set)
