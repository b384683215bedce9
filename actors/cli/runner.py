"""Runs a started tree until a signal, a cancelled token or its own end; answers the exit code.

SIGTERM and SIGINT cancel the root token, once; a second signal exits with 1 at once, whatever is
still in flight. From the first on the process has a deadline: it ends then, whatever is stuck.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from actors.cli.commands import COMMANDS
from actors.cli.parsing import unknown_variables
from actors.cli.signals import FAILED, OK, Meaning, Stops, end_within, hear_signals, log_stacks
from actors.supervision.cancellation import CancellationToken
from actors.supervision.errors import StartFailed

__all__ = ["CannotStart", "GcFreezer", "Running", "files_to_ask_for", "run_until_cancelled"]

_log = logging.getLogger("actors.main")

SWITCH_SECONDS: Final = 0.0005
"""How long a thread that computes may keep the interpreter while others wait for it. Every answer
waits for it several times; behind eight engines that compute in Python it would wait for forty
milliseconds each time with Python's own 5 ms, and takes four with this."""


OPEN_FILES: Final = 65_536
"""Open files that are enough: 10,000 clients, an upstream connection each, and three times that."""

ANNOUNCE_SECONDS: Final = 1.0
"""How long a stop waits for the announcement that is being written to stdout."""

GROWTH: Final = 1.5
"""Factor by which memory must grow after a collection of everything for another one."""

MIN_SECONDS_APART: Final = 600.0
"""Seconds between two of these: each may stop everything for 0.1 s or more."""


class CannotStart(Exception):
    """A command can't begin; the text is one sentence that names the thing and the next step."""


class Running(Protocol):
    """A tree that was started."""

    def announce(self) -> None:
        """Tell the user, on stdout, that it is ready and how to use it."""
        ...

    def reload(self) -> None:
        """Read again what may change while it runs. Any thread."""
        ...

    def stop(self) -> str | None:
        """Shut down within its own deadlines; answer why it failed, ``None`` if it did not."""
        ...


class _Started:
    """What is running, once it is."""

    running: Running | None = None


def run_until_cancelled(start: Callable[[CancellationToken], Running], stop_within: float) -> int:
    """Start, announce, wait for the token, stop. Blocks; call it on the main thread.

    Answers 0 after a clean shutdown, 1 if the tree could not start or gave up. ``stop_within``
    seconds after the token was cancelled the process ends with 1, whatever still holds it.
    """
    token = CancellationToken()
    started = _Started()
    sys.setswitchinterval(SWITCH_SECONDS)
    _warn_about_unknown_variables()
    _raise_open_file_limit()
    token.on_cancel(partial(end_within, stop_within, FAILED))
    stops = Stops()
    hear_signals(lambda meant: _obey(meant, token, started, stops))
    try:
        running = started.running = start(token)
    except (CannotStart, StartFailed) as error:
        print(f"callboard: {_sentence(error)}", file=sys.stderr)
        return FAILED
    # On a thread of its own: stdout may be a pipe that is not read.
    announcer = threading.Thread(target=_announce, args=(running,), name="announce", daemon=True)
    if not token.cancelled:
        freeze_gc()
        announcer.start()
    token.wait()
    if announcer.ident is not None:
        announcer.join(ANNOUNCE_SECONDS)
    failure = running.stop()
    if failure is None:
        return OK
    _log.error("gave up", extra={"reason": failure})
    print(f"callboard: {failure}", file=sys.stderr)
    return FAILED


def _warn_about_unknown_variables() -> None:
    """Warn about ``CALLBOARD_`` variables that change nothing: misspelt ones are hard to see."""
    classes = [row.settings_class() for row in COMMANDS.values()]
    for warning in unknown_variables(os.environ, classes):
        _log.warning(warning)


def files_to_ask_for(soft: int, hard: int) -> int | None:
    """The soft limit of open files to ask for; None where the present one is as good."""
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    return None if soft == resource.RLIM_INFINITY or soft >= wanted else wanted


def _raise_open_file_limit() -> None:
    """Use as many open files as we may: shells and systemd begin with 1,024, a few hundred streams.

    The low limit is for programs that call select(), which can't count further; nothing here does.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files_to_ask_for(soft, hard)
    if wanted is None:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # a system may have a lower bound than it reports
        _log.warning(
            "could not raise the open-file limit", extra={"files": soft, "why": str(error)}
        )


def _sentence(error: Exception) -> str:
    """The cause that the user can act on: the innermost one of a failed start."""
    return str(error.__cause__ or error) if isinstance(error, StartFailed) else str(error)


def _announce(running: Running) -> None:
    try:
        running.announce()
    except OSError as error:  # a full disk, a closed pipe: the service goes on
        _log.warning("stdout can't be written", extra={"error": error.strerror})
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # what it held can't be written


def _obey(meant: Meaning, token: CancellationToken, started: _Started, stops: Stops) -> None:
    """Do what a signal wants; on the thread that hears them, which must not wait."""
    if meant is Meaning.STOP:
        if stops.again(time.monotonic()):
            os._exit(FAILED)
        threading.Thread(target=token.cancel, name="canceller", daemon=True).start()
    elif meant is Meaning.STACKS:
        log_stacks()
    elif meant is Meaning.RELOAD and started.running is not None:
        threading.Thread(target=started.running.reload, name="reload", daemon=True).start()


def freeze_gc() -> None:
    """Exempt from the garbage collector what is here now, and later what outlives a collection.

    A full collection looks at every object: 0.3 million with five thousand models, which takes
    0.1 s in which nothing else happens. Nearly all of them live on, so nothing is found.
    """
    gc.collect()
    gc.freeze()
    gc.callbacks.append(GcFreezer())


class GcFreezer:
    """Limits full collections to what is new since the last one; a callback of :mod:`gc`.

    Once memory has grown by half since everything was last collected, and ten minutes have passed,
    everything is collected again: so cycles of old objects are found late, but they are found.
    ``blocks`` returns how much memory is in use, in any unit; ``clock`` returns seconds.
    """

    def __init__(
        self,
        blocks: Callable[[], int] = sys.getallocatedblocks,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blocks = blocks
        self._clock = clock
        self._everything = False
        self._put_off()

    def __call__(self, phase: str, info: Mapping[str, Any]) -> None:
        """A collection starts, or stops."""
        if info["generation"] != 2:
            return
        if phase == "start":
            late = self._clock() >= self._not_before
            self._everything = late and self._blocks() >= self._enough
            if self._everything:
                gc.unfreeze()
            return
        gc.freeze()
        if self._everything:
            self._put_off()

    def _put_off(self) -> None:
        self._not_before = self._clock() + MIN_SECONDS_APART
        self._enough = self._blocks() * GROWTH
