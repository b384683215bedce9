"""Small files that others change at any time, and temporary folders that leave nothing behind.

A file is read again while the service runs: keys, certificates. Whatever stands at the path (a
pipe, a device, a folder, an endless file), a read returns at once and takes little memory.

A process that is killed removes nothing. So each folder holds a file that its owner keeps locked
for as long as it lives, and making a folder first removes those whose file is not locked any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import Final, Self, TypeAlias

__all__ = ["MIB", "Stamp", "TempDir", "read_if_changed"]


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


_log = logging.getLogger("actors.files")

_LOCK: Final = "lock"


class TempDir:
    """A new private folder, ``path``, in the system's folder for such things (``TMPDIR``).

    Its name begins with ``prefix``. Folders of that prefix which a killed process of this user
    left behind are removed first. Any thread may call :meth:`close`. Raises ``OSError``.
    """

    def __init__(self, prefix: str) -> None:
        _sweep(Path(tempfile.gettempdir()), prefix)
        self.path: Final = Path(tempfile.mkdtemp(prefix=prefix))  # mode 0700
        # Locked before it has its name: it is never found unlocked while we live.
        unnamed = self.path / "unnamed"
        self._lock = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.path / _LOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder and all that is in it. Idempotent."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(lock)


def _sweep(parent: Path, prefix: str) -> None:
    """Remove the folders in ``parent`` whose owner was killed."""
    removed = [str(found) for found in parent.glob(f"{prefix}*") if _remove_if_left(found)]
    if removed:
        _log.info("removed what a killed process left", extra={"folders": len(removed)})


def _remove_if_left(folder: Path) -> bool:
    """Remove ``folder`` if it is ours and not locked; returns whether it did."""
    # SECURITY: any user may write to this place: a link, or another's folder, is left alone.
    with contextlib.suppress(OSError):  # another one removed it meanwhile, or it is not ours
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
        return not folder.exists()
    return False
