"""What every fault is: a thing with a name that can be switched on, and off again.

Invariants, each tested under its name:

1. *Idempotent*: ``inject`` on a fault that is on, and ``heal`` on one that is off, do nothing.
2. *All or nothing*: an ``inject`` that raises leaves the fault off and nothing changed, also where
   it is Ctrl-C that comes in its middle.
3. *Never forgotten*: leaving a ``with`` block heals, whatever happened in it.
4. *One at a time*: of several faults of one thing, each heals itself only, in any order.
"""

from __future__ import annotations

import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from types import MappingProxyType
from typing import Final, Self, final

__all__ = ["Fault", "FaultUnavailable", "injected"]


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
