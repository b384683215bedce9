"""The end of a process: with its exit code, and in time, whatever is stuck.

Python's own exit waits without a bound: for threads of libraries, for exit handlers, and for the
lock of a log handler whose reader has stopped reading. So a command ends by :func:`leave`, and has
:func:`end_within` end it if something before that takes too long.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
from typing import Final, NoReturn

__all__ = ["FAILED", "LAST_SECONDS", "OK", "end_within", "leave"]

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
