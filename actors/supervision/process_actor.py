"""An operating-system process as a child of the tree.

The actor lives as long as its process: if the process ends, the actor crashes and the supervisor
starts another; if the actor is stopped, the process is ended, politely first.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pykka import ActorDeadError

from actors.supervision.actor import Supervised

__all__ = ["ProcessActor", "ProcessEnded"]

_log = logging.getLogger("actors.supervision.process_actor")

READY_POLL: Final = 0.02
"""Seconds between two checks whether a started process is ready."""
KILL_WAIT: Final = 5.0
"""Seconds for the kernel to reap a process after SIGKILL; it has never needed one."""


class ProcessEnded(Exception):
    """The process ended although it was not asked to."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """The waiting thread's message that the process has ended."""

    code: int


class ProcessActor(Supervised):
    """Runs ``command`` without a shell; its stdout is dropped, its stderr is ours.

    ``ready()`` is called until it returns True: only then the child counts as started, so a sibling
    that needs it may start next. ``grace`` is how many seconds SIGTERM is given before SIGKILL.
    ``environment`` replaces ours. The process of an actor that is abandoned, or fails to start, is
    ended, too. Where ``setpriv`` exists (Linux), it dies with this one even if that is killed.
    """

    fatal = (ProcessEnded,)

    def __init__(
        self,
        command: Sequence[str],
        *,
        ready: Callable[[], bool] = lambda: True,
        grace: float = 3.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._command = [*command]
        self._ready = ready
        self._grace = grace
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def on_start(self) -> None:
        """Start the process and wait until it is ready.

        Raises ``FileNotFoundError`` for a program that does not exist, or :class:`ProcessEnded`.
        """
        if shutil.which(self._command[0]) is None:
            raise FileNotFoundError(f"there is no program {self._command[0]!r}")
        # A process group of its own: Ctrl-C in a terminal must reach us only, or the process would
        # be gone before its siblings above it have drained.
        process = subprocess.Popen(
            [*_dies_with_parent(), *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=self._environment,
            process_group=0,
        )
        self._process = process
        self.lifecycle.watch(lambda _exit: _kill(process))  # abandoned: there is no on_stop then
        try:
            self._wait_until_ready(process)
        except BaseException:
            self._end(process)
            raise
        watcher = threading.Thread(
            target=self._wait, args=(process,), name=f"{self.name}-waiter", daemon=True
        )
        watcher.start()

    def on_receive(self, message: Any) -> None:
        """Crash when the process has ended: the supervisor decides what comes next."""
        if isinstance(message, _Ended):
            self._process = None
            raise ProcessEnded(f"{self.name} ended with {message.code}")

    def on_stop(self) -> None:
        """End the process: SIGTERM, ``grace`` seconds, SIGKILL."""
        if self._process is not None:
            self._end(self._process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        while not self._ready():
            if process.poll() is not None:
                raise ProcessEnded(f"{self.name} ended with {process.returncode} while starting")
            self.token.wait(READY_POLL)
            self._check_wanted()
        self._check_wanted()

    def _check_wanted(self) -> None:
        if self.token.cancelled:
            raise ProcessEnded(f"{self.name} was stopped while starting")

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        ended = _Ended(process.wait())
        # Not by the address: it may be unset, or already point to the replacement.
        with contextlib.suppress(ActorDeadError):
            if not self.token.cancelled:
                self.actor_ref.tell(ended)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(self._grace)
        except subprocess.TimeoutExpired:
            _log.warning("process did not end, killing it", extra={"pid": process.pid})
            process.kill()
            process.wait(KILL_WAIT)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process that its actor left behind; does nothing to one that has ended."""
    if process.poll() is None:
        _log.warning("killing a process left behind", extra={"pid": process.pid})
        process.kill()
        process.wait(KILL_WAIT)


def _dies_with_parent() -> list[str]:
    """A prefix that has the kernel end the process with us, where the system offers one."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []
