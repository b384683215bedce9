"""Gates: stop a thread at one exact place, look around, let it go on. For tests of races.

Made of the standard library's events: a gate must not depend on what it is there to test.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["Gate", "GateTimeout", "held"]

TIMEOUT: Final = 10.0
"""Real seconds after which a gate gives up: far above any test, so that a hang is a failure."""


class GateTimeout(AssertionError):
    """No thread came to the gate, or the gate was not opened."""


class Gate:
    """A place where threads wait until the test lets them pass.

    The code under test calls :meth:`hold` (or is made to, by :func:`held`); the test waits for
    :meth:`reached`, and then calls :meth:`open`. Once open it stays open.
    """

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    def hold(self) -> None:
        """Report the arrival and wait until the gate is open."""
        self._reached.set()
        if not self._open.wait(TIMEOUT):
            raise GateTimeout(f"the gate was not opened within {TIMEOUT:g} seconds")

    def reached(self, timeout: float = TIMEOUT) -> None:
        """Wait until a thread stands at the gate, or has passed it. Raises :class:`GateTimeout`."""
        if not self._reached.wait(timeout):
            raise GateTimeout(f"no thread came to the gate within {timeout:g} seconds")

    def open(self) -> None:
        """Release all current and future waiters."""
        self._open.set()


@contextmanager
def held(target: Any, method: str) -> Generator[Gate]:
    """Make each call of ``target.method`` pass a gate first; opened and removed on leaving.

    ``with held(address_inbox, "put") as gate`` holds a message, ``with held(reply, "set")`` an
    answer, at the one moment that a race needs.
    """
    gate = Gate()
    original = getattr(target, method)

    def at_the_gate(*args: Any, **kwargs: Any) -> Any:
        gate.hold()
        return original(*args, **kwargs)

    setattr(target, method, at_the_gate)
    try:
        yield gate
    finally:
        gate.open()
        setattr(target, method, original)
