"""A program in a real pseudo-terminal, with a screen (pyte) that shows what a person would see."""

from __future__ import annotations

import contextlib
import os
import pty
import struct
import subprocess
import termios
import threading
from collections.abc import Callable, Mapping, Sequence
from fcntl import ioctl
from typing import Final, Self

import pyte

__all__ = ["Terminal"]

ROWS: Final = 36
COLUMNS: Final = 130
_SIZE: Final = ("COLUMNS", "LINES")
DEADLINE: Final = 60.0
"""Seconds until a text must have come; a loaded machine needs several."""


class Terminal:
    """Runs ``command`` in a terminal of its own; ends it with the ``with`` block."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        rows: int = ROWS,
    ) -> None:
        self._ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, COLUMNS, 0, 0))
        # Its size is that of the terminal, whatever this process was told.
        here = {name: each for name, each in os.environ.items() if name not in _SIZE}
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**here, "TERM": "xterm-256color", **(environment or {})},
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._screen = pyte.Screen(COLUMNS, rows)
        self._bytes = pyte.ByteStream(self._screen)
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._ours)

    def type(self, text: str) -> None:
        """Type ``text``, as it is."""
        os.write(self._ours, text.encode())

    def wait_for(self, text: str) -> str:
        """Wait until ``text`` stands on the screen; answer the whole screen."""
        return self.wait_until(lambda screen: text in screen, repr(text))

    def wait_until(self, holds: Callable[[str], bool], what: str) -> str:
        """Wait until the screen is as it should be; answer it."""
        with self._changed:
            self._changed.wait_for(lambda: holds(self._shown()) or self._ended, DEADLINE)
            screen = self._shown()
        assert holds(screen), f"{what} did not come:\n{screen}"
        return screen

    def exit_code(self) -> int:
        """Wait for the end of the program."""
        return self.process.wait(DEADLINE)

    def _shown(self) -> str:
        """What a person sees now."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # Linux's way to say that the program has gone
            while data := os.read(self._ours, 65536):
                with self._changed:
                    self._bytes.feed(data)
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
