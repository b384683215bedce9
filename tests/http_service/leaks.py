"""What a test may not leave behind: threads and file descriptors."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from actors.engines import adapters
from actors.eventloop import shared_loop

__all__ = ["Leaks", "leaks", "open_files"]

DEADLINE: Final = 5.0
"""Seconds that what was told to end gets to do so."""

SHARED: Final = (
    "access-log",
    "engine-",
    "engines-asyncio",
    "event-loop",
    "pytest_timeout",
    "execnet",
)
"""Threads that outlive a test by design, by the begin of their names: one event loop serves the
whole process, one loop all async engines, an engine's own threads end ten seconds after their last
job, access lines are written to the end; the rest are the test runner's."""

DESCRIPTORS: Final = Path("/proc/self/fd")


class Leaks(AssertionError):
    """Something was left behind."""


@contextmanager
def leaks(deadline: float = DEADLINE) -> Generator[None]:
    """Raise :class:`Leaks` if the block leaves a thread, or an open file, that was not there.

    Where the system does not show its descriptors (no ``/proc``), threads only.
    """
    _start_shared_loops()
    threads, files = {*threading.enumerate()}, open_files()
    yield
    left = _left(threads, files)
    if not left:
        return
    gc.collect()  # what only a cycle of references still holds is not held
    until = time.monotonic() + deadline
    pause = threading.Event()
    while left and time.monotonic() < until:
        pause.wait(0.01)
        left = _left(threads, files)
    if left:
        raise Leaks("left behind: " + ", ".join(left))


def _start_shared_loops() -> None:
    """Have the process's event loops run, ours and asyncio's: their descriptors stay."""
    running = threading.Event()
    shared_loop().call(running.set)
    assert running.wait(DEADLINE), "the event loop does not run"
    adapters._LOOP.get()  # pyright: ignore[reportPrivateUsage]  # to have it run


def open_files() -> dict[str, str]:
    """Each open descriptor, and what it is."""
    if not DESCRIPTORS.exists():
        return {}
    found: dict[str, str] = {}
    for each in DESCRIPTORS.iterdir():
        try:
            found[each.name] = os.readlink(each)  # noqa: PTH115  # a socket's link leads nowhere
        except OSError:  # the descriptor of the listing itself
            continue
    return found


def _left(threads: set[threading.Thread], files: dict[str, str]) -> list[str]:
    ours = [
        f"thread {each.name}"
        for each in threading.enumerate()
        if each not in threads and not each.name.startswith(SHARED)
    ]
    new = [
        f"fd {number} ({what})"
        for number, what in open_files().items()
        if files.get(number) != what and not what.startswith("/dev/")
    ]
    return ours + new
