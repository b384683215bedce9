"""From an async generator engine to a push engine: all of them share one event loop thread.

Invariants: at most ``max_running`` generators of one engine run and ``max_waiting`` wait; the sink
is ended exactly once, when the task is done (a task cancelled before it began runs no code of its
own, so the end is told from its done-callback); the generator is closed on every way out.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from typing import Final

from actors.engines.contract import AsyncGeneratorEngine, Chunk, Context, EngineRequest, Sink
from actors.engines.errors import EngineBusy
from actors.engines.executor import RETRY_AFTER
from actors.engines.pacing import AsyncPace
from actors.engines.tokens import tokens_in
from actors.supervision.cancellation import Registration
from actors.supervision.errors import Cancelled

__all__ = ["AsyncGeneratorAdapter"]

_log: Final = logging.getLogger("actors.engines.async_generator")

# Seconds that the interpreter's exit waits for the loop to stop.
_EXIT_SECONDS: Final = 1.0


class _LoopThread:
    """One asyncio event loop on one daemon thread, started on first use, stopped at exit.

    No engine ends it for the others: if one stops it, or a task or a callback of one raises what
    asyncio lets out (``SystemExit``, ``KeyboardInterrupt``), that is logged, and it runs on.
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
            except BaseException as escaped:  # noqa: BLE001  # whatever it was, the others go on
                error = escaped
            if not self._stopped:
                _log.error(
                    "an engine tried to end the event loop of all; it goes on",
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
    """A push engine around an async generator engine; see ``adapters.as_push_engine``."""

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
                await _push_all(self._engine.generate(request, context), sink, context)
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


async def _push_all(chunks: AsyncIterator[Chunk], sink: Sink, context: Context) -> None:
    pace = AsyncPace(sink, asyncio.get_running_loop())
    try:
        async for chunk in chunks:
            if context.token.cancelled:
                break
            sink.push(chunk, tokens_in(chunk))
            await pace.keep()
    finally:
        close = getattr(chunks, "aclose", None)
        if close is not None:
            # The task may be cancelled again here; the generator's clean-up is not to be cut.
            with contextlib.suppress(asyncio.CancelledError):
                await close()
