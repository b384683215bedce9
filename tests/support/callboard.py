"""Callboard as a user runs it: a real process, its stdout and stderr read as they come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Self

__all__ = ["START_DEADLINE", "Callboard", "run_to_end"]

START_DEADLINE = 60.0
"""Seconds until a started process must be ready; a loaded machine needs several."""


class Callboard:
    """``python -m actors.main …`` as a child; ends with the ``with`` block, whatever happened.

    ``keep`` sees each line, on a reader's thread, and says whether it is kept: long runs log much.
    ``program`` may be another installation's, run in the folder ``cwd``.
    """

    def __init__(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        keep: Callable[[str], bool] = lambda _line: True,
        program: Sequence[str] = (sys.executable, "-m", "actors.main"),
        cwd: Path | None = None,
    ) -> None:
        self._keep = keep
        self.process = subprocess.Popen(
            [*program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=_environment(environment or {}),
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._open = 2
        self._readers = [
            self._read(stream, label)
            for stream, label in ((self.process.stdout, "out"), (self.process.stderr, "err"))
            if stream is not None
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._read_to_the_end()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    @property
    def output(self) -> str:
        """Everything printed so far, each line marked ``out`` or ``err``."""
        with self._changed:
            return "\n".join(self._lines)

    def wait_for(self, text: str, timeout: float = START_DEADLINE) -> str:
        """The first line that holds ``text``; fails with the whole output when none comes."""

        def found() -> str | None:
            return next((line for line in self._lines if text in line), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or not self._open, timeout)
            line = found()
        if line is None:
            raise AssertionError(f"no line with {text!r} came; the output was:\n{self.output}")
        return line

    @property
    def url(self) -> str:
        """Where it listens, once it said so."""
        return self.wait_for("listening on ").split("listening on ")[1].strip()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def exit_code(self, timeout: float = 30.0) -> int:
        """Wait for the end of the process; its whole output has been read then."""
        code = self.process.wait(timeout)
        self._read_to_the_end()
        return code

    def _read_to_the_end(self) -> None:
        for reader in self._readers:
            reader.join(10)

    def _read(self, stream: IO[str], label: str) -> threading.Thread:
        def loop() -> None:
            for line in stream:
                if not self._keep(line):
                    continue
                with self._changed:
                    self._lines.append(f"{label} {line.rstrip()}")
                    self._changed.notify_all()
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

        reader = threading.Thread(target=loop, name=f"read-{label}", daemon=True)
        reader.start()
        return reader


def run_to_end(
    *arguments: str, environment: Mapping[str, str] | None = None, timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """Run a command line that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "actors.main", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=_environment(environment or {}),
    )


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Ours without anything that would configure Callboard, and with ``extra``.

    Without a console: processes of tests that run at once would all want its one address.
    """
    mine = {name: each for name, each in os.environ.items() if not name.startswith("CALLBOARD_")}
    return {**mine, "PYTHONUNBUFFERED": "1", "CALLBOARD_CONSOLE": "off", **extra}
