"""The host process seen from outside: its pipes, its /proc, its end."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

from tests.faults.evidence import Vitals

__all__ = ["HostProcess"]

START: Final = 60.0
ANSWER: Final = 30.0
STOP: Final = 40.0
KEPT: Final = 20_000
"""Lines of a log that are kept."""


class HostProcess:
    """``python -m tests.faults.host`` with ``options``; killed at the latest by :meth:`close`."""

    def __init__(self, options: dict[str, Any], *, stderr: int | None = None) -> None:
        self.log: list[str] = []
        self._options = options
        self._stderr = stderr
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._asking = threading.Lock()
        self.url = ""
        self.process = self._start()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def pid(self) -> int:
        """Its process id, now."""
        return self.process.pid

    def restart(self) -> None:
        """Start again at the same port, after it died."""
        self.process.wait(STOP)
        self._close_pipes()
        self._answers = queue.SimpleQueue()
        self._options = {**self._options, "port": self.address[1]}
        self.url = ""
        self.process = self._start()

    def order(self, do: str, **arguments: Any) -> Any:
        """Have the host do something; its answer. Raises RuntimeError with what it says."""
        with self._asking:
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            self.process.stdin.flush()
            answer = json.loads(self._answers.get(timeout=ANSWER))
        if "error" in answer:
            raise RuntimeError(f"the host can't {do}: {answer['error']}")
        return answer["is"]

    def vitals(self) -> Vitals:
        """Threads, descriptors and memory, as the kernel counts them."""
        proc = Path(f"/proc/{self.process.pid}")
        try:
            pages = int((proc / "statm").read_text().split()[1])
            return Vitals(
                threads=len(list((proc / "task").iterdir())),
                files=len(list((proc / "fd").iterdir())),
                memory=pages * os.sysconf("SC_PAGE_SIZE"),
            )
        except OSError:
            return Vitals()

    def cpu(self) -> float:
        """Seconds of CPU it has used."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def terminate(self) -> tuple[int | None, float]:
        """SIGTERM; the exit code (``None``: it had to be killed) and the seconds it took."""
        begun = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(signal.SIGTERM)
        try:
            code: int | None = self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            code = None
        return code, time.monotonic() - begun

    def close(self) -> None:
        """Kill it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP)
        self._close_pipes()

    def _start(self) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.host", json.dumps(self._options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if self._stderr is None else self._stderr,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # Ctrl-C is for the runner, which then ends us in order.
            process_group=0,
        )
        assert process.stdout is not None
        if process.stderr is not None:
            self._follow(process.stderr, self._keep)
        ready: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._follow(process.stdout, self._sorted(ready))
        deadline = time.monotonic() + START
        while not self.url:
            with suppress(queue.Empty):
                self.url = ready.get(timeout=0.1)
            if not self.url and (process.poll() is not None or time.monotonic() > deadline):
                process.kill()
                process.wait(STOP)
                raise RuntimeError("the host did not start:\n" + "\n".join(self.log[-20:]))
        return process

    def _sorted(self, ready: queue.SimpleQueue[str]) -> Any:
        answers = self._answers

        def sort(line: str) -> None:
            if line.startswith("listening on "):
                ready.put(line.removeprefix("listening on "))
            else:
                answers.put(line)

        return sort

    def _keep(self, line: str) -> None:
        """Keep what is told of more than a request that went well."""
        if len(self.log) < KEPT and '"http_service.access"' not in line:
            self.log.append(line)

    def _follow(self, stream: IO[str], take: Any) -> None:
        def run() -> None:
            try:
                for line in stream:
                    take(line.rstrip("\n"))
            except ValueError:  # closed while we were reading
                return

        threading.Thread(target=run, name="follow", daemon=True).start()

    def _close_pipes(self) -> None:
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
