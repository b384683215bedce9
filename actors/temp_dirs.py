"""Temporary folders that are gone when their process is, at the latest when the next one starts.

A process that is killed removes nothing. So each folder holds a file that its owner keeps locked
for as long as it lives, and making a folder first removes those whose file is not locked any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final, Self

__all__ = ["TempDir"]

_log = logging.getLogger("actors.temp_dirs")

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
