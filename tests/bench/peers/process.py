"""A process under measurement: started on its core, waited for, and ended with its children."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.support.child import Child
from tests.support.cpu import cpu_seconds, on_core, rss_mib, tree

__all__ = ["STOP_TIMEOUT", "Mock", "Process"]

STOP_TIMEOUT: Final = 10.0
"""Seconds between SIGTERM and SIGKILL; a front-end that drains needs some."""

POLL: Final = 0.05
"""Seconds between two looks whether it is ready."""

_ROOT: Final = Path(__file__).parents[3]


class Process:
    """A program on one core, its output in a temporary file that is shown if it fails."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        core: int,
        environment: Mapping[str, str],
        folder: Path = _ROOT,
    ) -> None:
        self.name: Final = name
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # stop() closes it
        with on_core(core):
            self.popen: Final = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=self._log,
                stderr=self._log,
                cwd=folder,
                env={**os.environ, **environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> float:
        """Wait until ``ready()``; answer the seconds since this call. Raises ``RuntimeError``."""
        begun, pause = time.monotonic(), threading.Event()
        while not ready():
            if self.popen.poll() is not None:
                raise RuntimeError(
                    f"{self.name} ended with {self.popen.returncode}:\n{self.tail()}"
                )
            if time.monotonic() - begun > timeout:
                raise RuntimeError(f"{self.name} not ready in {timeout:g} s:\n{self.tail()}")
            pause.wait(POLL)
        return time.monotonic() - begun

    def tail(self) -> str:
        """The end of its output."""
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 2000))
        return self._log.read().decode(errors="replace")

    def cpu_seconds(self) -> float:
        """CPU time so far, children included."""
        return cpu_seconds(self.pid)

    def rss_mib(self) -> float:
        """Resident memory, children included, in MiB."""
        return rss_mib(self.pid)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for what still lives after :data:`STOP_TIMEOUT`."""
        family = tree(self.pid) if self.popen.poll() is None else []
        if self.popen.stdin is not None:
            self.popen.stdin.close()
        self.popen.terminate()
        try:
            self.popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(STOP_TIMEOUT)
        for child in family[1:]:
            if Path(f"/proc/{child}").exists() and os.getsid(child) == self.pid:
                os.kill(child, signal.SIGKILL)
        self._log.close()


class Mock(Child):
    """The mock upstream as a process on ``core``; ends with its standard input."""

    def __init__(self, core: int, max_seconds: float = 3600.0) -> None:
        words = ("--max-seconds", str(max_seconds))
        super().__init__("tests.bench.peers.mock_upstream", *words, core=core)
        self.port: Final = int(self.greeting)
        self.url: Final = f"http://127.0.0.1:{self.port}"

    def tags(self) -> tuple[set[int], dict[int, float]]:
        """The tagged answers begun so far, and when which of them was left unfinished."""
        with urllib.request.urlopen(f"{self.url}/tags", timeout=STOP_TIMEOUT) as answer:
            known = json.load(answer)
        return set(known["started"]), {int(tag): when for tag, when in known["left"].items()}

    def cpu_seconds(self) -> float:
        """CPU time so far."""
        return cpu_seconds(self.pid)
