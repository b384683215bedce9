"""The service under load: a process of its own, on a core of its own, with its CPU time."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.callboard import Callboard

__all__ = ["Served"]


class Served(Callboard):
    """Starts the service pinned to the first core, and this process to the others."""

    def __init__(self, *arguments: str) -> None:
        cores = sorted(os.sched_getaffinity(0))
        self.core = cores[0]
        os.sched_setaffinity(0, {self.core})  # inherited by the child
        super().__init__("--host", "127.0.0.1", "--port", "0", *arguments)
        os.sched_setaffinity(0, cores[1:] or cores)
        address = urlsplit(self.url)
        self.address = (address.hostname or "", address.port or 0)

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far.

        Read per thread from schedstat (nanoseconds); the ten-millisecond ticks of ``stat`` would be
        too coarse for a short round.
        """
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        nanoseconds = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
        return nanoseconds / 1e9

    def memory_mib(self) -> float:
        """Resident memory now."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024
