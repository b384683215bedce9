"""Reads a small file that others may change, replace or remove at any time, without ever waiting.

For files that are read again while the service runs: keys, certificates. Whatever stands at the
path (a pipe, a device, a folder, an endless file), a read returns at once and takes little memory.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Final, TypeAlias

__all__ = ["MIB", "Stamp", "read_if_changed"]

MIB: Final = 1024 * 1024

SETTLED: Final = 2_000_000_000
"""Nanoseconds after its last change for which a file's times prove nothing: a kernel's tick is up
to 10 ms, and some file systems keep whole seconds, or two."""

Stamp: TypeAlias = tuple[int, int, int, int, int]
"""What differs once a file was changed, replaced or given other permissions."""


def read_if_changed(
    path: str, known: Stamp | None, limit: int = MIB
) -> tuple[bytes, Stamp | None] | None:
    """What the file at ``path`` holds, with its stamp; ``None`` if its stamp is ``known``.

    The stamp is ``None`` for a file that was changed a moment ago: it may change again and look the
    same, so it has to be read once more. Any thread. Raises ``OSError``, and ``ValueError`` with a
    phrase for what is not a regular file or has more than ``limit`` bytes.
    """
    # Looked at before it is opened: opening alone does something to some devices.
    found = Path(path).stat()
    _check(found, limit)
    if known is not None and _stamp_of(found) == known:
        return None
    # NOTE: not blocking, and looked at again: something else may have taken its place meanwhile.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        _check(found, limit)
        # Some regular files of the kernel's say that they are empty: the limit is on what is read.
        text = file.read(limit + 1) or b""
    if len(text) > limit:
        raise ValueError(_too_large(limit))
    now = time.time_ns()
    settled = all(abs(now - at) > SETTLED for at in (found.st_mtime_ns, found.st_ctime_ns))
    # The stamp of before the reading: what is changed while it is read will be read again.
    return text, _stamp_of(found) if settled else None


def _stamp_of(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _check(found: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("is not a regular file")
    if found.st_size > limit:
        raise ValueError(_too_large(limit))


def _too_large(limit: int) -> str:
    return f"has more than {limit} bytes"
