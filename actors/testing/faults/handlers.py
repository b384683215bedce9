"""Faults of what an actor does: it crashes, hangs, is slow, can't start.

They take an actor *class* and change its ``on_receive`` or ``on_start`` until healed, so they work
on every ``pykka.Actor``, supervised or not, also on incarnations that start meanwhile. ``when``
chooses the messages (all by default); ``times`` is how often it happens at most (``None``: always).
``method`` names another method, of any class: a call through a Pykka proxy never passes
``on_receive``, and a handler of ``http.server`` has ``do_POST``. ``when`` then gets its first
argument, or ``None``. Look at ``happened``: at 0, nothing was survived.

An ``async def`` and generators of both kinds are met in their own way: a coroutine waits in its
asyncio loop, which goes on meanwhile, and what a fault does is done when it is awaited, or asked
for its first item, not when it is called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from actors.testing.faults.fault import NO_PAUSE, Before, Fault, Pause

__all__ = ["Crash", "CrashOnStart", "Hang", "HangOnStart", "Injected", "Poison", "Slow"]

PATIENCE = 600.0
"""Seconds after which a hanging thread goes on by itself, healed or not: none hangs forever."""


class Injected(Exception):
    """What a fault raises unless told otherwise: in a log it can't be taken for a real failure."""


def _every(_message: Any) -> bool:
    return True


class _Hook(Fault):
    """Stands before one method of a class; ``strike`` runs there while the fault is on."""

    method = "on_receive"

    def __init__(self, actor_class: type[Any], times: int | None, **parameters: object) -> None:
        super().__init__(actor=actor_class.__name__, times=times, **parameters)
        self._left = times
        self._counting = threading.Lock()
        self._over = threading.Event()
        self._patch = Before(actor_class, self.method, self._first)

    def strike(self) -> float:
        """Raise, or return the seconds to wait before the method does its work; until healed."""
        raise NotImplementedError

    def _inject(self) -> None:
        self._over.clear()
        self._patch.put()

    def _heal(self) -> None:
        self._patch.remove()
        self._over.set()

    def _first(self, _actor: Any, *arguments: Any, **_named: Any) -> Pause:
        if self._chosen(*arguments) and self._take():
            return Pause(self.strike(), self._over)
        return NO_PAUSE

    def _chosen(self, *_arguments: Any) -> bool:
        return True

    def _take(self) -> bool:
        with self._counting:
            if self._left == 0:
                return False
            if self._left is not None:
                self._left -= 1
            self.happened += 1
            return True


class _HandlerFault(_Hook):
    """A fault of single messages."""

    def __init__(
        self,
        actor_class: type[Any],
        when: Callable[[Any], bool] = _every,
        times: int | None = None,
        method: str = "on_receive",
        **parameters: object,
    ) -> None:
        self.method = method
        if method != "on_receive":
            parameters["method"] = method
        super().__init__(actor_class, times, **parameters)
        self._when = when

    def _chosen(self, *arguments: Any) -> bool:
        return self._when(arguments[0] if arguments else None)


class Crash(_HandlerFault):
    """The handler raises. Imitates a bug, or a dependency that fails, in the middle of a message.

    ``error`` makes the exception: a class, or a function without arguments. Try ``SystemExit``,
    ``MemoryError``, ``RecursionError`` and ``KeyboardInterrupt`` too: libraries do raise them.
    """

    def __init__(
        self,
        actor_class: type[Any],
        error: Callable[[], BaseException] = Injected,
        *,
        when: Callable[[Any], bool] = _every,
        times: int | None = None,
        method: str = "on_receive",
    ) -> None:
        super().__init__(
            actor_class, when, times, method, error=getattr(error, "__name__", str(error))
        )
        self._error = error

    def strike(self) -> float:
        """Raise."""
        raise self._error()


class Hang(_HandlerFault):
    """The handler blocks until healed, then does its work late.

    Imitates a lock that is never released, a server that neither answers nor hangs up, a dead disk.
    ``begun`` is set when the first handler hangs.
    """

    def __init__(
        self,
        actor_class: type[Any],
        *,
        when: Callable[[Any], bool] = _every,
        times: int | None = None,
        method: str = "on_receive",
    ) -> None:
        super().__init__(actor_class, when, times, method)
        self.begun = threading.Event()

    def strike(self) -> float:
        """Wait until healed."""
        self.begun.set()
        return PATIENCE


class Slow(_HandlerFault):
    """Each message takes ``seconds`` longer. Imitates a cold cache, a full disk, a busy machine."""

    def __init__(
        self,
        actor_class: type[Any],
        seconds: float,
        *,
        when: Callable[[Any], bool] = _every,
        times: int | None = None,
        method: str = "on_receive",
    ) -> None:
        super().__init__(actor_class, when, times, method, seconds=seconds)
        self._seconds = seconds

    def strike(self) -> float:
        """Wait so long."""
        return self._seconds


class CrashOnStart(_Hook):
    """``on_start`` raises, ``times`` times. Imitates a dependency that is not up yet, or never."""

    method = "on_start"

    def __init__(
        self,
        actor_class: type[Any],
        error: Callable[[], BaseException] = Injected,
        *,
        times: int | None = None,
    ) -> None:
        super().__init__(actor_class, times, error=getattr(error, "__name__", str(error)))
        self._error = error

    def strike(self) -> float:
        """Raise."""
        raise self._error()


class HangOnStart(_Hook):
    """``on_start`` blocks until healed. Imitates a connect that never times out."""

    method = "on_start"

    def __init__(self, actor_class: type[Any], *, times: int | None = None) -> None:
        super().__init__(actor_class, times)

    def strike(self) -> float:
        """Wait until healed."""
        return PATIENCE


class Poison(_HandlerFault):
    """One message that always crashes its handler, delivered again after each crash.

    Imitates a queue with at-least-once delivery and a message that no consumer can digest.
    ``tell`` sends; ``again`` says whether to deliver once more after so many deliveries.
    """

    def __init__(
        self,
        actor_class: type[Any],
        tell: Callable[[Any], object],
        message: object,
        *,
        deliveries: int = 3,
        every: float = 0.05,
    ) -> None:
        super().__init__(
            actor_class, lambda each: each is message, deliveries=deliveries, every=every
        )
        self._tell, self._message = tell, message
        self._deliveries, self._every = deliveries, every
        self._source: threading.Thread | None = None

    def _inject(self) -> None:
        super()._inject()
        self._source = threading.Thread(target=self._deliver, name="poison", daemon=True)
        self._source.start()

    def _heal(self) -> None:
        self._over.set()
        if self._source is not None and self._source.ident is not None:
            self._source.join(10.0)
        super()._heal()

    def _deliver(self) -> None:
        for _ in range(self._deliveries):
            self._tell(self._message)
            if self._over.wait(self._every):
                return

    def strike(self) -> float:
        """Raise."""
        raise Injected("a poisoned message")
