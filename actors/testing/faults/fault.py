"""What every fault is, and how it stands in front of the attribute that it changes.

A fault has a name and can be switched on, and off again. Invariants, each tested under its name:

1. *Idempotent*: ``inject`` on a fault that is on, and ``heal`` on one that is off, do nothing.
2. *All or nothing*: an ``inject`` that raises leaves the fault off and nothing changed, also where
   it is Ctrl-C that comes in its middle.
3. *Never forgotten*: leaving a ``with`` block heals, whatever happened in it.
4. *One at a time*: of several faults of one thing, each heals itself only, in any order: an actor
   may be slow *and* crash. The last one out leaves the attribute as it was before the first.

A framework asks whether a handler is a coroutine function before it calls it; nothing of a
coroutine runs before it is awaited, and nothing of a generator before its first item is asked for.
What stands in front is of the same kind, and waits as that kind does: no event loop is blocked.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import re
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Self, final

__all__ = ["NO_PAUSE", "Before", "Fault", "FaultUnavailable", "Patch", "Pause", "injected"]


class FaultUnavailable(Exception):
    """This system can't inject the fault; ``reason`` is a sentence for the report.

    A suite reports such a fault as skipped, never as survived.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class Fault(ABC):
    """One thing that goes wrong, on purpose; a context manager that heals at its end.

    ``name`` is the class's in words, ``parameters`` is what it was made with, for reports and
    schedules. :meth:`inject` and :meth:`heal` may be called from any thread, one at a time.
    """

    def __init__(self, **parameters: object) -> None:
        self.name: str = _in_words(type(self).__name__)
        self.parameters: Mapping[str, object] = MappingProxyType(parameters)
        self.happened: int = 0
        """How often it came to pass, over all injections; at 0, nothing was survived.

        Each family says what it counts. It may be read at any time, from any thread.
        """
        self._switch = threading.Lock()
        self._on = False

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        return f"{type(self).__name__}({settings})"

    @property
    def active(self) -> bool:
        """Whether the fault is on."""
        return self._on

    @final
    def inject(self) -> None:
        """Switch it on, unless it is. Raises :class:`FaultUnavailable` where it can't be."""
        with self._switch:
            if self._on:
                return
            try:
                self._inject()
                self._on = True
            except Exception:
                raise  # nothing has changed, as _inject promises
            except BaseException:  # Ctrl-C: how far it came is unknown
                self._on = False
                self._heal()
                raise

    @final
    def heal(self) -> None:
        """Switch it off, if it is on, and put back what it changed."""
        with self._switch:
            if self._on:
                self._on = False
                self._heal()

    def __enter__(self) -> Self:
        self.inject()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.heal()

    @abstractmethod
    def _inject(self) -> None:
        """Begin; if it raises an ``Exception``, nothing may have changed."""

    def _heal(self) -> None:
        """Put back, also after half an injection; nothing to do for what is over at once."""
        return


@contextmanager
def injected(*faults: Fault) -> Generator[None]:
    """Several faults at once: injected in order, healed in reverse, all of them in any case."""
    with ExitStack() as stack:
        for fault in faults:
            stack.enter_context(fault)
        yield


def _in_words(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()


Instead = Callable[..., Any]
"""Called with what it stands in front of, then with the caller's arguments."""

_ABSENT: Final = object()
_lock: Final = threading.Lock()
_standing: Final[dict[tuple[int, str], _Place]] = {}
"""Attributes with a patch in front; a place keeps its owner alive, so that no id is used twice."""


class Patch:
    """``instead(original, *arguments)`` in place of ``owner.name``, from :meth:`put` to `remove`.

    ``owner`` is a class, a module or an object. Any thread. Code that still holds the replaced
    function after :meth:`remove` reaches the original through it.
    """

    def __init__(self, owner: Any, name: str, instead: Instead) -> None:
        self.instead = instead
        self.live = False
        self._owner, self._name = owner, name

    def put(self) -> None:
        """Stand in front. Raises :class:`FaultUnavailable` where there is nothing to replace."""
        with _lock:
            place = _standing.get((id(self._owner), self._name))
            if place is None:
                place = _Place(self._owner, self._name)
            place.stand([*place.patches, self])
            self.live = True
            _standing[id(self._owner), self._name] = place

    def remove(self) -> None:
        """Step aside; nothing happens if it does not stand there."""
        with _lock:
            self.live = False
            place = _standing.get((id(self._owner), self._name))
            if place is None or self not in place.patches:
                return
            place.stand([each for each in place.patches if each is not self])
            if not place.patches:
                del _standing[id(self._owner), self._name]

    def around(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        """What is called while this stands in front of ``inner``."""

        @functools.wraps(inner)
        def call(*arguments: Any, **named: Any) -> Any:
            if self.live:
                return self.instead(inner, *arguments, **named)
            return inner(*arguments, **named)

        return call


class _Place:
    """One attribute: what it was, and who stands in front of it."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name
        self._found: Any = getattr(owner, name, None)
        self._own = getattr(owner, "__dict__", {}).get(name, _ABSENT)
        self.patches: list[Patch] = []
        if not callable(self._found):
            what = getattr(owner, "__name__", None) or f"a {type(owner).__name__}"
            raise FaultUnavailable(f"{what} has no method {name!r} that could misbehave")

    def stand(self, patches: list[Patch]) -> None:
        """Have exactly these in front, the last one first; with none the attribute is as before."""
        call = self._found
        for each in patches:
            call = each.around(call)
        try:
            if patches:
                setattr(self._owner, self._name, call)
            elif self._own is _ABSENT:
                delattr(self._owner, self._name)
            else:
                setattr(self._owner, self._name, self._own)
        except (AttributeError, TypeError) as error:
            raise FaultUnavailable(f"{self._name!r} can't be replaced: {error}") from None
        self.patches = patches


LOOK: Final = 0.01
"""Seconds between two looks of a coroutine at whether it was healed, from whichever thread."""


@dataclass(frozen=True, slots=True)
class Pause:
    """So many ``seconds``, or until ``over`` is set."""

    seconds: float
    over: threading.Event

    def block(self) -> None:
        """Wait on this thread."""
        if self.seconds > 0:
            self.over.wait(self.seconds)

    async def sleep(self) -> None:
        """Wait in a coroutine of asyncio, whose loop goes on meanwhile."""
        until = time.monotonic() + self.seconds
        # An asyncio.Event can't be set from the other threads that may heal.
        while (left := until - time.monotonic()) > 0 and not self.over.is_set():  # noqa: ASYNC110
            await asyncio.sleep(min(left, LOOK))


NO_PAUSE: Final = Pause(0.0, threading.Event())


class Before(Patch):
    """``first(*arguments)`` at the beginning of each ``owner.name``: it raises, or pauses."""

    def __init__(self, owner: Any, name: str, first: Callable[..., Pause]) -> None:
        super().__init__(owner, name, first)

    def around(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        """A function of ``inner``'s kind; what is called while this stands in front of it."""

        def first(*arguments: Any, **named: Any) -> Pause:
            found: Pause = self.instead(*arguments, **named) if self.live else NO_PAUSE
            return found

        return functools.wraps(inner)(_preceded(inner, first))


def _preceded(inner: Any, first: Callable[..., Pause]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(inner):

        async def awaited(*arguments: Any, **named: Any) -> Any:
            await first(*arguments, **named).sleep()
            return await inner(*arguments, **named)

        return awaited
    if inspect.isasyncgenfunction(inner):
        return _preceded_items(inner, first)
    if inspect.isgeneratorfunction(inner):
        return _preceded_chunks(inner, first)

    def call(*arguments: Any, **named: Any) -> Any:
        pause = first(*arguments, **named)
        if pause.seconds > 0 and _on_a_loop():
            return _late(pause, inner(*arguments, **named))
        pause.block()
        return inner(*arguments, **named)

    return call


def _on_a_loop() -> bool:
    """Whether this thread currently runs an event loop of asyncio."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _late(pause: Pause, result: Any) -> Any:
    """What a plain function returned, late: decorated coroutines look like plain functions."""
    if not inspect.isawaitable(result):
        pause.block()
        return result

    async def awaited() -> Any:
        await pause.sleep()
        return await result

    return awaited()


def _preceded_chunks(inner: Any, first: Callable[..., Pause]) -> Callable[..., Any]:
    def each(*arguments: Any, **named: Any) -> Generator[Any, Any, Any]:
        first(*arguments, **named).block()
        chunks: Generator[Any, Any, Any] = inner(*arguments, **named)
        return (yield from chunks)

    return each


def _preceded_items(inner: Any, first: Callable[..., Pause]) -> Callable[..., Any]:
    async def each_awaited(*arguments: Any, **named: Any) -> AsyncGenerator[Any, Any]:
        await first(*arguments, **named).sleep()
        items = inner(*arguments, **named)
        try:
            step = items.asend(None)
            while True:
                item = await step
                try:
                    step = items.asend((yield item))
                except Exception as error:  # noqa: BLE001  # thrown in: meant for the inner one
                    step = items.athrow(error)
        except StopAsyncIteration:
            return
        finally:
            await items.aclose()

    return each_awaited
