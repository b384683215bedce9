"""Runs a started tree until a signal, a cancelled token or its own end; answers the exit code.

SIGTERM and SIGINT cancel the root token, once; a second signal exits with 1 at once, whatever is
still in flight. Handlers take no lock: they ring a bell, a thread of its own cancels.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Final, Protocol

from actors.commands.parsing import unknown_variables
from actors.settings import DemoSettings, ServeSettings, WorkerSettings
from actors.supervision.cancellation import CancellationToken
from actors.supervision.errors import StartFailed

__all__ = ["CannotStart", "Running", "files_to_ask_for", "run_until_cancelled"]

_log = logging.getLogger("actors.main")

OK: Final = 0
FAILED: Final = 1

SWITCH_SECONDS: Final = 0.0005
"""How long a thread that computes may keep the interpreter while others wait for it. Every answer
waits for it several times; behind eight engines that compute in Python it would wait for forty
milliseconds each time with Python's own 5 ms, and takes four with this."""


OPEN_FILES: Final = 65_536
"""Open files that are enough: 10,000 clients, an upstream connection each, and three times that."""


class CannotStart(Exception):
    """A command can't begin; the text is one sentence that names the thing and the next step."""


class Running(Protocol):
    """A tree that was started."""

    def announce(self) -> None:
        """Tell the user, on stdout, that it is ready and how to use it."""
        ...

    def stop(self) -> str | None:
        """Shut down within its own deadlines; answer why it failed, ``None`` if it did not."""
        ...


def run_until_cancelled(start: Callable[[CancellationToken], Running]) -> int:
    """Start, announce, wait for the token, stop. Blocks; call it on the main thread.

    Answers 0 after a clean shutdown, 1 if the tree could not start or gave up.
    """
    token = CancellationToken()
    sys.setswitchinterval(SWITCH_SECONDS)
    _tell_of_variables()
    _allow_files()
    _cancel_on_signals(token)
    try:
        running = start(token)
    except (CannotStart, StartFailed) as error:
        print(f"callboard: {_sentence(error)}", file=sys.stderr)
        return FAILED
    if not token.cancelled:
        _settle_memory()
        running.announce()
    token.wait()
    failure = running.stop()
    if failure is None:
        return OK
    _log.error("gave up", extra={"reason": failure})
    print(f"callboard: {failure}", file=sys.stderr)
    return FAILED


def _tell_of_variables() -> None:
    """Say which variables were meant for us and change nothing: a misspelt one is hard to see."""
    for each in unknown_variables(os.environ, (ServeSettings, WorkerSettings, DemoSettings)):
        _log.warning(each)


def files_to_ask_for(soft: int, hard: int) -> int | None:
    """The soft limit of open files to ask for; None where the present one is as good."""
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    return None if soft == resource.RLIM_INFINITY or soft >= wanted else wanted


def _allow_files() -> None:
    """Use as many open files as we may: shells and systemd begin with 1,024, a few hundred streams.

    The low limit is for programs that call select(), which can't count further; nothing here does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files_to_ask_for(soft, hard)
    if wanted is None:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # a system may have a lower bound than it tells
        _log.warning("the limit of open files stays", extra={"files": soft, "why": str(error)})


def _settle_memory() -> None:
    """Take all that is here now, and stays, out of the garbage collector's sight.

    PERF: modules, classes and the tree itself are fifty thousand objects. A full collection that
    looks at them again stops every stream for some 17 ms.
    """
    gc.collect()
    gc.freeze()


def _sentence(error: Exception) -> str:
    """The cause that the user can act on: the innermost one of a failed start."""
    return str(error.__cause__ or error) if isinstance(error, StartFailed) else str(error)


def _cancel_on_signals(token: CancellationToken) -> None:
    ring = token.signal_safe_cancel()
    seen = 0

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal seen
        seen += 1
        if seen > 1:
            os._exit(FAILED)
        ring()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
