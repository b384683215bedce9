"""What this process uses: CPU, memory, threads, files, and how late its event loop is.

Read from the system when it is asked for; where that has no ``/proc``, from ``resource`` alone.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from actors.eventloop import EventLoop

__all__ = ["Process", "ProcessFacts", "Processes", "cpu_seconds", "open_files", "resident_bytes"]

LOOK_SECONDS: Final = 0.1
"""Seconds between two looks at the event loop: a stall that is shorter may go unseen."""

_SELF: Final = Path("/proc/self")


class Process(Struct):
    """One process; ``cpu`` is the share of a core since the last look, ``memory`` is in bytes.

    ``uptime`` and ``loop_lag``, the event loop's worst lateness of late, are in seconds.
    """

    process: int
    uptime: float
    cpu: float
    memory: int
    threads: int
    files: int
    file_limit: int
    loop_lag: float


class Processes(Struct):
    """Every process of the front-end."""

    processes: list[Process]


class LoopLag:
    """How late the event loop is at most, by a timer of its own. Looks while it runs."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop = loop
        self._due = 0.0
        self._worst = 0.0
        self._running = False

    def start(self) -> None:
        """Begin to look, unless it does. Any thread."""
        if not self._running:
            self._running = True
            self._loop.call(self._again)

    def stop(self) -> None:
        """Look no more. Any thread."""
        self._running = False

    def worst(self) -> float:
        """The worst lateness since the last time that this was asked, in seconds."""
        worst, self._worst = self._worst, 0.0
        busy_since = self._loop.busy_since
        if busy_since is not None:  # it may be in a stall that no timer has seen the end of
            worst = max(worst, self._loop.clock() - busy_since)
        return worst

    def _again(self) -> None:
        self._due = self._loop.clock() + LOOK_SECONDS
        self._loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        self._worst = max(self._worst, self._loop.clock() - self._due)
        if self._running:
            self._again()


class ProcessFacts:
    """This process, looked at. Any thread."""

    def __init__(self, loop: EventLoop) -> None:
        self.lag: Final = LoopLag(loop)
        self.latest_lag = 0.0
        """What was seen of the event loop in the last second, while the recorder runs."""
        self._started: Final = time.monotonic()
        self._last = (self._started, cpu_seconds())
        self._share = 0.0

    def look(self) -> Process:
        """This process now."""
        now, used = time.monotonic(), cpu_seconds()
        before, used_before = self._last
        if now - before >= LOOK_SECONDS:  # two who look at once see the same
            self._last = now, used
            self._share = max(used - used_before, 0.0) / (now - before)
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return Process(
            process=os.getpid(),
            uptime=round(now - self._started, 3),
            cpu=round(self._share, 4),
            memory=resident_bytes(),
            threads=threading.active_count(),
            files=open_files(),
            file_limit=limit,
            loop_lag=round(self.latest_lag, 4),
        )


def cpu_seconds() -> float:
    """Seconds of CPU that this process has used."""
    return time.process_time()


def resident_bytes() -> int:
    """Bytes of memory that this process has resident."""
    with suppress(OSError, ValueError, IndexError):
        pages = int((_SELF / "statm").read_text().split()[1])
        return pages * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def open_files() -> int:
    """How many files this process has open; 0 where the system does not say."""
    try:
        return sum(1 for _ in (_SELF / "fd").iterdir())
    except OSError:
        return 0
