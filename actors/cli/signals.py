"""What each signal does to a running command, and the thread that hears them.

Python runs a handler only between two steps of its main thread, which may be stuck: in a write to a
pipe that nobody reads, for one. So the numbers come through ``signal.set_wakeup_fd``, written by
the interpreter's C handler, to a daemon thread that does what is due.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from enum import Enum, auto
from types import FrameType
from typing import Final

__all__ = ["Meaning", "Stops", "hear_signals", "hold_signals", "log_stacks", "meaning"]

_log: Final = logging.getLogger("actors.signals")

TOGETHER: Final = 0.01
"""Seconds in which two signals are one wish: timeout(1) sends one to us and one to our group."""


class Meaning(Enum):
    """What somebody wants who sends a signal."""

    STOP = auto()
    RELOAD = auto()
    STACKS = auto()
    NOTHING = auto()


_MEANINGS: Final = {
    signal.SIGTERM: Meaning.STOP,
    signal.SIGINT: Meaning.STOP,
    signal.SIGHUP: Meaning.RELOAD,
    signal.SIGQUIT: Meaning.STACKS,
    signal.SIGUSR1: Meaning.NOTHING,
    signal.SIGUSR2: Meaning.NOTHING,
}

_HELD: Final = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""What must not end a process that is starting, as it does not end one that runs."""


def meaning(number: int, *, on_terminal: bool) -> Meaning:
    """What the signal ``number`` means; pure. On a terminal SIGHUP says that it was closed."""
    if number == signal.SIGHUP and on_terminal:
        return Meaning.STOP
    return _MEANINGS[signal.Signals(number)]


class Stops:
    """Tells a second wish to stop from the first one's echo."""

    def __init__(self) -> None:
        self._first: float | None = None

    def again(self, now: float) -> bool:
        """Take a wish at ``now`` (seconds); whether it is one more than the first."""
        if self._first is None:
            self._first = now
        return now - self._first > TOGETHER


def hold_signals() -> None:
    """Ignore what must not end a starting process. The main thread only."""
    for number in _HELD:
        if number != signal.SIGHUP or not _on_terminal():
            signal.signal(number, signal.SIG_IGN)


def hear_signals(act: Callable[[Meaning], object]) -> None:
    """Have ``act`` called for each signal from now on, on a thread of its own.

    The main thread only. ``act`` must not block, or no further signal is heard.
    """
    hears, told = socket.socketpair()
    told.setblocking(False)  # noqa: FBT003  # the socket module's signature
    on_terminal = _on_terminal()  # asked now: a terminal that was closed is none any more
    signal.set_wakeup_fd(told.detach(), warn_on_full_buffer=False)
    for number in _MEANINGS:
        signal.signal(number, _heard_elsewhere)

    def hear() -> None:
        while True:
            for number in hears.recv(64):
                if number in _MEANINGS:
                    act(meaning(number, on_terminal=on_terminal))

    threading.Thread(target=hear, name="signals", daemon=True).start()


def log_stacks() -> None:
    """Log what every thread is doing now, a record each. Any thread."""
    # Not faulthandler: it writes while no other thread may run, and for ever if nobody reads.
    names = {each.ident: each.name for each in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        stack = "".join(traceback.format_stack(frame)).rstrip()
        about = {"of": names.get(ident, str(ident)), "stack": stack}
        _log.warning("a thread's stack", extra=about)


def _on_terminal() -> bool:
    return any(each.isatty() for each in (sys.stdin, sys.stderr) if each is not None)


def _heard_elsewhere(_number: int, _frame: FrameType | None) -> None:
    """Nothing: the interpreter has written the number to the wakeup socket already."""
