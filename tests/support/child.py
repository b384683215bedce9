"""A module of ours as a process: speaks in lines of JSON, ends with its standard input."""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.support.cpu import on_core

__all__ = ["CALL_TIMEOUT", "Child"]

START_TIMEOUT: Final = 60.0
CALL_TIMEOUT: Final = 30.0
STOP_TIMEOUT: Final = 20.0

_ROOT: Final = Path(__file__).parents[2]


class Child:
    """``python -m module arguments``, on ``core`` if one is given; a context manager.

    :attr:`greeting` is the first line that it says. Raises ``RuntimeError`` if it says nothing
    within :data:`START_TIMEOUT` seconds, as :meth:`call` does after :data:`CALL_TIMEOUT`.
    """

    def __init__(self, module: str, *arguments: str, core: int | None = None) -> None:
        self._module = module
        with on_core(core) if core is not None else contextlib.nullcontext():
            self.popen: Final = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=_ROOT,
            )
        self.greeting: Final = self._answer(START_TIMEOUT)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def call(self, word: str) -> Any:
        """Say ``word`` to it; what it answers."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(f"{word}\n".encode())
        self.popen.stdin.flush()
        return self._answer(CALL_TIMEOUT)

    def end(self) -> Any:
        """End its standard input; what it says then."""
        assert self.popen.stdin is not None
        self.popen.stdin.close()
        return self._answer(CALL_TIMEOUT)

    def close(self) -> None:
        """End its standard input and wait for its end; kill it if that takes too long."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.close()
        try:
            self.popen.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait(STOP_TIMEOUT)
        self.popen.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _answer(self, timeout: float) -> Any:
        assert self.popen.stdout is not None
        ready, _, _ = select.select([self.popen.stdout], [], [], timeout)
        line = self.popen.stdout.readline() if ready else b""
        if not line:
            self.popen.kill()
            self.popen.wait(STOP_TIMEOUT)
            raise RuntimeError(
                f"{self._module} did not answer within {timeout:g} s; see its standard error"
            )
        return json.loads(line)
