"""One look through a folder: which files of entries there are, and what each of them holds now.

A look sees one folder, whatever happens to its path meanwhile: files of a folder that is moved away
under the look are not taken for deleted.
"""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path
from typing import Final

from discovery.files import File, Mark, parsed

__all__ = ["Away", "scan"]

MAX_FILE: Final = 64 * 1024 * 1024
"""Bytes of one file that are read: 100,000 entries; more is something else."""
FRESH: Final = 100_000_000
"""Nanoseconds for which a file's time of change proves nothing; the kernel's tick is 4 ms."""


class Away(Exception):
    """The folder itself can't be read just now; the text says why, for the log."""


def scan(directory: Path, before: dict[str, File]) -> dict[str, File]:
    """Every file of the folder that counts; one that looks as ``before`` is not read again.

    Raises :class:`Away`. A file that can't be read keeps what it held ``before``, and says why.
    """
    try:
        # NOTE: what follows goes by this folder and not by its path, which may lead elsewhere or
        # nowhere, a moment later: files of a folder that is moved away are not deleted.
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Away(f"{directory}: {error.strerror}") from None
    try:
        with os.scandir(folder) as listed:
            names = [each.name for each in listed if _counts(each.name)]
        read = ((name, _read(name, folder, before.get(name))) for name in names)
        return {name: file for name, file in read if file is not None}
    except OSError as error:
        raise Away(f"{directory}: {error.strerror}") from None
    finally:
        os.close(folder)


def _counts(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _read(name: str, folder: int, before: File | None) -> File | None:
    """The file as it is now; None if it is gone or no file. It may be half-written: see parsed."""
    try:
        mark = _mark(os.stat(name, dir_fd=folder))
        if mark is None:
            return None
        if before is not None and before.mark == mark and mark[2]:
            return before
        # NOTE: not blocking: between the look and the opening a pipe may have taken its place.
        with open(_without_blocking(name, folder), "rb") as opened:
            # One byte more than it has: it may be growing; the next look reads it again then.
            raw = opened.read(min(mark[1], MAX_FILE) + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        kept = before or File((0, 0, 0))
        return File((0, 0, 0), kept.entries, f"it can't be read: {error.strerror}")
    if len(raw) > MAX_FILE:
        return File(mark, before.entries if before else (), f"it has more than {MAX_FILE} bytes")
    return parsed(raw, mark, before)


def _mark(found: os.stat_result) -> Mark | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    # A file written a moment ago may be written again in the same tick of the kernel's clock, which
    # would show in no mark: such a one is read again at the next look.
    fresh = abs(time.time_ns() - found.st_mtime_ns) < FRESH
    return found.st_ino, found.st_size, 0 if fresh else found.st_mtime_ns


def _without_blocking(name: str, folder: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)
