"""Faults of a whole process: killed, frozen, asked to stop, out of descriptors or memory, its time.

``happened`` counts signals sent and limits set, each to a process that was alive. Whether it ran
into a limit, the process alone knows. Of the clock's faults it counts who was misled.
"""

from __future__ import annotations

import itertools
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from actors.testing.faults.fault import Fault, FaultUnavailable, Patch

__all__ = ["ClockJump", "FileLimit", "Freeze", "Kill", "MemoryLimit", "Stall", "Terminate"]


MIB = 1024 * 1024
STOPPED = 5.0
"""Seconds for SIGSTOP to take effect."""
POLL = 0.001

_ENDED = ("Z", "X")
_STILL = ("T", "t", *_ENDED, "")


class _Signalled(Fault):
    """Sends a signal to a process that ``pid()`` names when the fault is injected."""

    def __init__(self, pid: Callable[[], int], number: signal.Signals) -> None:
        super().__init__(signal=number.name)
        self._pid, self._number = pid, number
        self._target = 0

    def _inject(self) -> None:
        self._target = self._pid()
        _send(self._target, self._number)
        self.happened += 1


class Kill(_Signalled):
    """SIGKILL. Imitates the kernel's OOM killer, a power cut, a node that is taken away.

    ``restart`` is called on healing: whatever starts the process again.
    """

    def __init__(self, pid: Callable[[], int], restart: Callable[[], object] | None = None) -> None:
        super().__init__(pid, signal.SIGKILL)
        self._restart = restart

    def _heal(self) -> None:
        if self._restart is not None and self._target:
            self._restart()


class Terminate(_Signalled):
    """SIGTERM. Imitates an orchestrator that reschedules; ``restart`` is called on healing."""

    def __init__(self, pid: Callable[[], int], restart: Callable[[], object] | None = None) -> None:
        super().__init__(pid, signal.SIGTERM)
        self._restart = restart

    def _heal(self) -> None:
        if self._restart is not None and self._target:
            self._restart()


class Freeze(_Signalled):
    """SIGSTOP, and SIGCONT on healing. Imitates a hypervisor's pause, swapping, a dead disk.

    Once it is injected, no thread of the process runs. Its sockets stay open and the kernel still
    takes connections: nothing but silence tells.
    """

    def __init__(self, pid: Callable[[], int]) -> None:
        super().__init__(pid, signal.SIGSTOP)

    def _inject(self) -> None:
        super()._inject()
        try:
            wait_until_stopped(self._target)
        except FaultUnavailable:
            self._heal()  # else it would stop later, and never be continued
            raise

    def _heal(self) -> None:
        if self._target:
            _send(self._target, signal.SIGCONT, gone_is_fine=True)


class _Limited(Fault):
    """Lowers a soft limit of a running process; the old one is put back."""

    def __init__(self, pid: Callable[[], int], kind: int, **parameters: object) -> None:
        super().__init__(**parameters)
        self._pid, self._kind = pid, kind
        self._target = 0
        self._before: tuple[int, int] | None = None

    def limit(self, pid: int) -> int:
        """The soft limit to set."""
        raise NotImplementedError

    def _inject(self) -> None:
        self._target, self._before = self._pid(), None
        try:
            before = _prlimit(self._target, self._kind)
        except ProcessLookupError:
            raise FaultUnavailable(f"there is no process {self._target} to limit") from None
        low = self.limit(self._target)
        self._before, hard = before, before[1]
        _prlimit(self._target, self._kind, (low if hard < 0 else min(low, hard), hard))
        self.happened += 1

    def _heal(self) -> None:
        if self._before is None:
            return
        try:
            _prlimit(self._target, self._kind, self._before)
        except ProcessLookupError:
            return  # it died of it: there is nothing to put back


class FileLimit(_Limited):
    """At most ``spare`` descriptors more than are open now. Imitates a leak, or ``ulimit -n``.

    With ``spare`` above 0, gaps between open descriptors may let a few more be opened.
    """

    def __init__(self, pid: Callable[[], int], spare: int = 0) -> None:
        super().__init__(pid, resource.RLIMIT_NOFILE, spare=spare)
        self._spare = spare

    def limit(self, pid: int) -> int:
        """The lowest descriptor that is free: a new one must be below the limit."""
        used = {int(each.name) for each in _proc(pid, "fd").iterdir()}
        return next(each for each in itertools.count() if each not in used) + self._spare


class MemoryLimit(_Limited):
    """At most ``spare`` bytes more address space than now. Imitates a container's limit."""

    def __init__(self, pid: Callable[[], int], spare: int = 64 * MIB) -> None:
        super().__init__(pid, resource.RLIMIT_AS, spare=spare)
        self._spare = spare

    def limit(self, pid: int) -> int:
        """What is mapped now and ``spare``."""
        pages = int(_proc(pid, "statm").read_text().split()[0])
        return pages * resource.getpagesize() + self._spare


def _send(pid: int, number: signal.Signals, *, gone_is_fine: bool = False) -> None:
    if not gone_is_fine and _ended(pid):
        raise FaultUnavailable(
            f"process {pid} has ended: there is nothing to send {number.name} to"
        )
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        if not gone_is_fine:
            raise FaultUnavailable(f"there is no process {pid} to send {number.name} to") from None
    except PermissionError:
        raise FaultUnavailable(f"no permission to send {number.name} to process {pid}") from None


def wait_until_stopped(pid: int) -> None:
    """Return when no thread of a process that was sent SIGSTOP runs any more.

    The kernel only marks the process: a thread that is on another core goes on until it is
    interrupted. Returns at once where there is no ``/proc``, or the process has ended. Raises
    ``FaultUnavailable`` after ``STOPPED`` seconds: a thread may be stuck in a call to a device.
    """
    deadline = time.monotonic() + STOPPED
    while any(_state(task) not in _STILL for task in Path(f"/proc/{pid}/task").glob("*")):
        if time.monotonic() > deadline:
            raise FaultUnavailable(f"process {pid} did not stop within {STOPPED:g} s of SIGSTOP")
        time.sleep(POLL)


def _ended(pid: int) -> bool:
    """Whether it only waits for its parent to notice its end: it takes signals and heeds none."""
    return _state(Path(f"/proc/{pid}")) in _ENDED


def _state(process: Path) -> str:
    """The code of its state, given its folder in ``/proc``; "" if it is gone (proc(5))."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _proc(pid: int, name: str) -> Path:
    path = Path(f"/proc/{pid}/{name}")
    if not path.exists():
        raise FaultUnavailable(f"this system has no {path.parent} to read the present use from")
    return path


def _prlimit(pid: int, kind: int, new: tuple[int, int] | None = None) -> tuple[int, int]:
    if sys.platform != "linux":
        raise FaultUnavailable("limits of another process can be set on Linux only (prlimit)")
    arguments: tuple[Any, ...] = (pid, kind) if new is None else (pid, kind, new)
    try:
        return resource.prlimit(*arguments)
    except PermissionError:
        raise FaultUnavailable(f"no permission to set limits of process {pid}") from None


class ClockJump(Fault):
    """``time.time()`` of this process jumps by ``seconds``, either way; put back on healing.

    Imitates NTP after a long outage, or an administrator. ``time.monotonic()`` goes on, and so
    must every timeout. ``happened`` counts who looked at the clock.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds=seconds)
        self._seconds = seconds
        self._patch = Patch(time, "time", self._jumped)

    def _inject(self) -> None:
        self._patch.put()

    def _heal(self) -> None:
        self._patch.remove()

    def _jumped(self, real: Callable[[], float]) -> float:
        self.happened += 1
        return real() + self._seconds


class _Advancing(Protocol):
    def advance(self, seconds: float) -> None: ...


class Stall(Fault):
    """On a ``FakeClock``, ``seconds`` pass at once: every timer within them falls due together.

    Imitates a virtual machine that was migrated, or a laptop that slept.
    """

    def __init__(self, clock: _Advancing, seconds: float) -> None:
        super().__init__(seconds=seconds)
        self._clock, self._seconds = clock, seconds

    def _inject(self) -> None:
        self._clock.advance(self._seconds)
        self.happened += 1
