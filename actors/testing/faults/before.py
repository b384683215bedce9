"""Something that happens at the beginning of a method, whatever kind of function that is.

A framework asks whether a handler is a coroutine function before it calls it; nothing of a
coroutine runs before it is awaited, and nothing of a generator before its first item is asked for.
What stands in front is of the same kind, and waits as that kind does: no event loop is blocked.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

from actors.testing.faults.patch import Patch

__all__ = ["NO_PAUSE", "Before", "Pause"]

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
