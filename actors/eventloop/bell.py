"""Wakes a poller from another thread: an eventfd where there is one, else a pipe."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["Bell"]

_PIPE_BYTES: Final = 4096


class Bell:
    """Readable (:attr:`fd`) from :meth:`ring` until :meth:`hush`, however often it rang."""

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self.fd = self._out = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.fd, self._out = os.pipe()
            os.set_blocking(self.fd, False)
            os.set_blocking(self._out, False)

    def ring(self) -> None:
        """Make it readable. Any thread; never blocks; nothing once it is closed."""
        # PERF: try instead of contextlib.suppress, which is three calls more.
        try:
            os.write(self._out, b"\1\0\0\0\0\0\0\0")
        except OSError:
            return  # full, so it rang already; or closed, and nothing is left to wake

    def hush(self) -> None:
        """Make it unreadable again."""
        try:
            os.read(self.fd, 8 if self.fd == self._out else _PIPE_BYTES)
        except BlockingIOError:
            return  # it did not ring

    def close(self) -> None:
        """Close its descriptors. Idempotent."""
        fds, self.fd, self._out = {self.fd, self._out}, -1, -1
        for fd in fds - {-1}:
            os.close(fd)
