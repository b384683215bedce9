"""What a process and its children cost: CPU to the nanosecond, resident memory; and pinning."""

from __future__ import annotations

import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Cores", "cpu_seconds", "on_core", "process_clock", "rss_mib", "tree"]

_CPUCLOCK_SCHED: Final = 2
_KIB_PER_MIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Cores:
    """Two cores: one for what is measured, one for the load and the mock upstream."""

    subject: int
    load: int

    @classmethod
    def of_this_machine(cls) -> Cores:
        """The first two cores that this process may use; one and the same where there is one."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1 % len(usable)])


@contextmanager
def on_core(core: int) -> Generator[None]:
    """What is started within the block runs on ``core``, threads and children included."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def tree(pid: int) -> list[int]:
    """``pid`` and all its descendants that live."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += tree(int(child))
    return found


def process_clock(pid: int) -> int:
    """The id of the CPU clock of another process, for ``time.clock_gettime``.

    It counts user and system time of all its threads, ended ones too, in nanoseconds; the ticks of
    ``/proc/PID/stat`` are of ten milliseconds (clock_getcpuclockid(3), Linux' encoding).
    """
    return ~pid << 3 | _CPUCLOCK_SCHED


def cpu_seconds(pid: int) -> float:
    """User and system time so far of the process and its descendants."""
    return sum(time.clock_gettime(process_clock(each)) for each in tree(pid))


def rss_mib(pid: int) -> float:
    """Resident memory of the process and its descendants, in MiB."""
    return sum(_rss_kib(each) for each in tree(pid)) / _KIB_PER_MIB


def _rss_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next((each for each in status.splitlines() if each.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(line.split()[1])
