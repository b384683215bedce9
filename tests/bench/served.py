"""The process under measurement, seen from the other side: its ports, its cost, its answers."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Sequence
from typing import Final

from tests.bench.threads import grouped, thread_seconds
from tests.support.child import CALL_TIMEOUT, Child
from tests.support.cpu import Cores, cpu_seconds, rss_mib

__all__ = ["Served", "Spent"]


class Spent:
    """CPU time of a process from the making of this object on, whole and by role."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._whole = cpu_seconds(served.pid)
        self._threads = thread_seconds(served.pid)

    def so_far(self) -> tuple[float, dict[str, float]]:
        """Seconds: the whole process, threads that have ended included; and by role."""
        names = self._served.thread_names()
        roles = grouped(self._threads, thread_seconds(self._served.pid), names)
        return cpu_seconds(self._served.pid) - self._whole, roles


class Served(Child):
    """Starts ``tests.bench.subject`` on the first core, and puts this process on the second."""

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        cores = Cores.of_this_machine()
        self.core: Final = cores.subject
        self.load_core: Final = cores.load
        self._cores_before = os.sched_getaffinity(0)
        super().__init__("tests.bench.subject", *arguments, core=cores.subject)
        os.sched_setaffinity(0, {cores.load})
        self.ours: Final = ("127.0.0.1", int(self.greeting["ours"]))
        """The product."""
        self.stock: Final = ("127.0.0.1", int(self.greeting["stock"]))
        """The same application under stock Waitress, in the same process."""

    def close(self) -> None:
        """End the subject, and let this process run on every core again."""
        os.sched_setaffinity(0, self._cores_before)
        super().close()

    def memory_mib(self) -> float:
        """Resident memory now."""
        return rss_mib(self.pid)

    def thread_names(self) -> dict[int, str]:
        """Its Python threads, by the kernel's thread id."""
        return {int(number): str(name) for number, name in self.call("threads").items()}

    def cancelled(self) -> dict[int, float]:
        """When the scripted engine heard that a tagged answer is not wanted any more."""
        return {int(tag): float(moment) for tag, moment in self.call("cancelled").items()}

    def started(self) -> set[int]:
        """The tags of the answers that the scripted engine has begun."""
        return set(map(int, self.call("started")))

    def engine_late(self) -> float:
        """By how many seconds the engine itself was late with a token, at most."""
        return float(self.call("late"))

    def layers(self) -> dict[str, int]:
        """Nanoseconds spent in each layer since the last time; the first call begins to count."""
        return {str(name): int(spent) for name, spent in self.call("layers").items()}

    def metrics(self) -> dict[str, float]:
        """What ``/metrics`` says now: each sample by its name with labels."""
        host, port = self.ours
        with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=CALL_TIMEOUT) as page:
            lines = page.read().decode().splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    def inflight(self) -> float:
        """The requests that the service says are in flight."""
        return sum(value for name, value in self.metrics().items() if "inflight_requests" in name)
