"""Faults of whatever generates: an engine around an engine that can be made to misbehave.

:class:`FaultyEngine` has the generator shape of ``actors.engines`` and needs nothing of it: any
object with ``generate(request, context)`` that yields chunks will do, and so will a context that
has no cancellation token, as long as no fault waits on one.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from actors.testing.faults.fault import Fault

__all__ = [
    "EngineBurns",
    "EngineEndless",
    "EngineGarbage",
    "EngineHangs",
    "EngineIgnoresCancel",
    "EngineRaises",
    "FaultyEngine",
]

PATIENCE: Final = 600.0
"""Seconds after which a hanging generator goes on by itself."""
STEP: Final = 0.02
"""Seconds between two chunks of an endless answer."""


class FaultyEngine:
    """Answers like ``inner`` while healthy; counts what becomes of its generators. Any thread.

    ``started``, ``ended`` and ``closed`` are generators: begun, run to their end or to an
    exception, closed from outside before it. What is neither ended nor closed still runs.
    """

    def __init__(self, inner: Any) -> None:
        self.started = self.ended = self.closed = 0
        self.closed_at = 0.0
        """When one was closed last, by ``time.monotonic()``."""
        self.twists: list[_EngineFault] = []
        """The faults that are on; the one injected last counts."""
        self._inner = inner
        self._tally = threading.Lock()

    @property
    def running(self) -> int:
        """Generators that neither ended nor were closed."""
        return self.started - self.ended - self.closed

    def generate(self, request: Any, context: Any) -> Iterator[Any]:
        """Yield ``inner``'s chunks, or what the fault of this moment makes of them."""
        twist = next(reversed(self.twists), None)
        chunks = self._inner.generate(request, context)
        self._count("started")
        try:
            yield from chunks if twist is None else twist.begin(chunks, context)
        except GeneratorExit:
            self.closed_at = time.monotonic()
            self._count("closed")
            raise
        except BaseException:
            self._count("ended")
            raise
        self._count("ended")

    def _count(self, what: str) -> None:
        with self._tally:
            setattr(self, what, getattr(self, what) + 1)


class _EngineFault(Fault):
    """Puts a twist into an engine; requests that begin while it is on are affected, and counted."""

    def __init__(self, engine: FaultyEngine, **parameters: object) -> None:
        super().__init__(**parameters)
        self._engine = engine
        self._over = threading.Event()
        self._counting = threading.Lock()

    def _inject(self) -> None:
        self._over.clear()
        self._engine.twists.append(self)

    def _heal(self) -> None:
        self._engine.twists = [each for each in self._engine.twists if each is not self]
        self._over.set()

    def begin(self, chunks: Iterator[Any], context: Any) -> Iterator[Any]:
        """What is yielded instead of ``chunks``; counted."""
        with self._counting:
            self.happened += 1
        return self._twist(chunks, context)

    def _twist(self, chunks: Iterator[Any], context: Any) -> Iterator[Any]:
        raise NotImplementedError


class EngineRaises(_EngineFault):
    """Raises after ``after`` chunks; 0 is before the first. Imitates a bug, or a full GPU."""

    def __init__(
        self,
        engine: FaultyEngine,
        error: Callable[[], BaseException],
        *,
        after: int = 0,
    ) -> None:
        super().__init__(engine, error=getattr(error, "__name__", str(error)), after=after)
        self._error, self._after = error, after

    def _twist(self, chunks: Iterator[Any], context: Any) -> Iterator[Any]:
        del context
        yield from itertools.islice(chunks, self._after)
        raise self._error()


class EngineHangs(_EngineFault):
    """Goes silent after ``after`` chunks, until healed. Imitates a stuck kernel or collective."""

    def __init__(self, engine: FaultyEngine, *, after: int = 0) -> None:
        super().__init__(engine, after=after)
        self._after = after

    def _twist(self, chunks: Iterator[Any], context: Any) -> Iterator[Any]:
        del context
        yield from itertools.islice(chunks, self._after)
        self._over.wait(PATIENCE)
        yield from chunks


class EngineGarbage(_EngineFault):
    """Yields ``items`` after ``after`` good chunks, then goes on. Imitates a version mismatch."""

    def __init__(self, engine: FaultyEngine, items: Iterable[Any], *, after: int = 1) -> None:
        self._items = tuple(items)
        super().__init__(engine, items=[repr(each)[:40] for each in self._items], after=after)
        self._after = after

    def _twist(self, chunks: Iterator[Any], context: Any) -> Iterator[Any]:
        del context
        yield from itertools.islice(chunks, self._after)
        yield from self._items
        yield from chunks


class EngineEndless(_EngineFault):
    """Repeats its first chunk forever, one each 20 ms. Imitates a model without an end token."""

    def _twist(self, chunks: Iterator[Any], context: Any) -> Iterator[Any]:
        chunk = next(chunks)
        while not self._over.is_set():
            yield chunk
            context.token.wait(STEP)


class EngineIgnoresCancel(_EngineFault):
    """Yields nothing and hears nothing for ``seconds`` after ``after`` chunks, cancelled or not.

    Imitates native code that looks at no token.
    """

    def __init__(self, engine: FaultyEngine, seconds: float, *, after: int = 1) -> None:
        super().__init__(engine, seconds=seconds, after=after)
        self._seconds, self._after = seconds, after

    def _twist(self, chunks: Iterator[Any], context: Any) -> Iterator[Any]:
        del context
        yield from itertools.islice(chunks, self._after)
        self._over.wait(self._seconds)
        yield from chunks


class EngineBurns(_EngineFault):
    """Computes in pure Python for ``seconds`` before the first chunk, holding the GIL.

    Imitates tokenising or sampling in Python, beside everything else in the process.
    """

    def __init__(self, engine: FaultyEngine, seconds: float) -> None:
        super().__init__(engine, seconds=seconds)
        self._seconds = seconds

    def _twist(self, chunks: Iterator[Any], context: Any) -> Iterator[Any]:
        del context
        end = time.monotonic() + self._seconds
        while time.monotonic() < end and not self._over.is_set():
            sum(range(2000))
        yield from chunks
