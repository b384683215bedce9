"""The process under measurement, seen from the other side: its ports, its cost, its answers."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.bench.peers.cpu import Cores, cpu_seconds, on_core, rss_mib
from tests.bench.threads import grouped, thread_seconds

__all__ = ["Served", "Spent"]

START_TIMEOUT: Final = 60.0
CALL_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 20.0

_ROOT: Final = Path(__file__).parents[2]


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


class Served:
    """Starts ``tests.bench.subject`` on the first core, and puts this process on the second."""

    def __init__(self, arguments: Sequence[str] = ()) -> None:
        cores = Cores.of_this_machine()
        self.core: Final = cores.subject
        self.load_core: Final = cores.load
        self._cores_before = os.sched_getaffinity(0)
        with on_core(cores.subject):
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.subject", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=_ROOT,
            )
        os.sched_setaffinity(0, {cores.load})
        ports = self._answer(START_TIMEOUT)
        self.ours: Final = ("127.0.0.1", int(ports["ours"]))
        """The product."""
        self.stock: Final = ("127.0.0.1", int(ports["stock"]))
        """The same application under stock Waitress, in the same process."""

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        os.sched_setaffinity(0, self._cores_before)
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        try:
            self._popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(STOP_TIMEOUT)
        self._popen.stdout.close()

    def memory_mib(self) -> float:
        """Resident memory now."""
        return rss_mib(self.pid)

    def thread_names(self) -> dict[int, str]:
        """Its Python threads, by the kernel's thread id."""
        return {int(number): str(name) for number, name in self._call("threads").items()}

    def cancelled(self) -> dict[int, float]:
        """When the scripted engine heard that a tagged answer is not wanted any more."""
        return {int(tag): float(moment) for tag, moment in self._call("cancelled").items()}

    def started(self) -> set[int]:
        """The tags of the answers that the scripted engine has begun."""
        return set(map(int, self._call("started")))

    def engine_late(self) -> float:
        """By how many seconds the engine itself was late with a token, at most."""
        return float(self._call("late"))

    def layers(self) -> dict[str, int]:
        """Nanoseconds spent in each layer since the last time; the first call begins to count."""
        return {str(name): int(spent) for name, spent in self._call("layers").items()}

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

    def _call(self, word: str) -> Any:
        assert self._popen.stdin is not None
        self._popen.stdin.write(f"{word}\n".encode())
        self._popen.stdin.flush()
        return self._answer(CALL_TIMEOUT)

    def _answer(self, timeout: float) -> Any:
        assert self._popen.stdout is not None
        ready, _, _ = select.select([self._popen.stdout], [], [], timeout)
        line = self._popen.stdout.readline() if ready else b""
        if not line:
            self._popen.kill()
            raise RuntimeError(f"the subject did not answer within {timeout:g} s; see its stderr")
        return json.loads(line)
