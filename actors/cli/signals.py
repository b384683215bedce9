"""What each signal does to a running command, the thread that receives them, and the process's end.

Python runs a handler only between two steps of its main thread, which may be stuck: in a write to a
pipe that is not read, for one. So the numbers come through ``signal.set_wakeup_fd``, written by
the interpreter's C handler, to a daemon thread that does what is due.

Python's own exit waits without a bound: for threads of libraries, for exit handlers, and for the
lock of a log handler whose reader has stopped reading. So a command ends by :func:`leave`, and has
:func:`end_within` end it if something before that takes too long.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from enum import Enum, auto
from types import FrameType
from typing import Final, NoReturn

__all__ = [
    "FAILED",
    "LAST_SECONDS",
    "OK",
    "Meaning",
    "Stops",
    "end_within",
    "hear_signals",
    "hold_signals",
    "leave",
    "log_stacks",
    "meaning",
]


_log: Final = logging.getLogger("actors.signals")

SAME_REQUEST_SECONDS: Final = 0.01
"""Seconds in which two signals count as one: timeout(1) sends one to us, one to our group."""


class Meaning(Enum):
    """What the sender of a signal wants."""

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
    """Tells a second request to stop from the echo of the first."""

    def __init__(self) -> None:
        self._first: float | None = None

    def again(self, now: float) -> bool:
        """Note a request at ``now`` (seconds); returns whether it is a second one."""
        if self._first is None:
            self._first = now
        return now - self._first > SAME_REQUEST_SECONDS


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
    # Not faulthandler: it writes while no other thread may run, and a pipe may not be read.
    names = {each.ident: each.name for each in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        stack = "".join(traceback.format_stack(frame)).rstrip()
        about = {"of": names.get(ident, str(ident)), "stack": stack}
        _log.warning("a thread's stack", extra=about)


def _on_terminal() -> bool:
    return any(each.isatty() for each in (sys.stdin, sys.stderr) if each is not None)


def _heard_elsewhere(_number: int, _frame: FrameType | None) -> None:
    """Nothing: the interpreter has written the number to the wakeup socket already."""


OK: Final = 0
FAILED: Final = 1

LAST_SECONDS: Final = 2.0
"""For exit handlers and the last lines of the log, once all is stopped."""


class _Deadline:
    """When the process ends at the latest; one for the process, as the process is."""

    timer: threading.Timer | None = None


def end_within(seconds: float, code: int) -> None:
    """Have the process end with ``code`` in ``seconds``, whatever it does then.

    The last call counts: it replaces the deadline of those before. Any thread but a signal handler.
    """
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.name, timer.daemon = "exit-deadline", True
    timer.start()
    previous, _Deadline.timer = _Deadline.timer, timer
    if previous is not None:
        previous.cancel()


def leave(code: int) -> NoReturn:
    """End the process with ``code`` after its exit handlers, in :data:`LAST_SECONDS` at most.

    Threads that still run are not waited for. What stdout does not take turns success into failure.
    """
    end_within(LAST_SECONDS, code)
    try:
        # As multiprocessing's children do; nothing public runs them and comes back.
        atexit._run_exitfuncs()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # see above
        if not _flushed() and code == OK:
            code = FAILED
    finally:
        os._exit(code)


def _flushed() -> bool:
    """Whether stdout took everything; if not, say so on stderr."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # its reader has seen enough: head(1), say
        return False
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):
            print(f"callboard: stdout can't be written: {error}", file=sys.stderr, flush=True)
        return False
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    return True
