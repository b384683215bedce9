"""What row 33 injects: the reader of the log goes, stalls, or has no room left."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, Final

from actors.testing.faults.fault import Fault
from tests.faults.asking import ask_many
from tests.faults.load import Target
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.served import ServedWorld, hosted

__all__ = ["full_disk", "log_gone", "log_stalls", "to_full_disk", "with_log_pipe"]

F_SETPIPE_SZ: Final = 1031
FILLED: Final = 1.0
"""Seconds in which access lines surely fill a pipe of 4 KiB."""


@contextmanager
def with_log_pipe(base: float) -> Generator[ServedWorld]:
    """A host whose stderr is a pipe that this process reads, until a fault says otherwise."""
    reading, writing = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    over = threading.Event()
    stalled = threading.Event()

    def drain() -> None:
        with suppress(OSError):
            while not over.is_set():
                if stalled.is_set():
                    over.wait(0.02)
                elif not os.read(reading, 65536):
                    return

    reader = threading.Thread(target=drain, name="log-reader", daemon=True)
    reader.start()
    try:
        with hosted(base, stderr=writing) as world:
            os.close(writing)
            world.extra["log_reading"], world.extra["log_stalled"] = reading, stalled
            yield world
    finally:
        over.set()
        stalled.clear()
        reader.join(5.0)
        with suppress(OSError):
            os.close(reading)


def log_gone(world: ServedWorld, _rng: Any) -> Fault:
    reading = world.extra.pop("log_reading")
    world.extra.pop("log_stalled")

    def begin(_facts: dict[str, Any]) -> None:
        os.close(reading)

    return Doing("stderr closed", begin)


def log_stalls(world: ServedWorld, _rng: Any) -> Fault:
    """Nobody reads: access lines fill the pipe, then engines fail, which is logged otherwise."""
    world.extra.pop("log_reading")
    stalled = world.extra.pop("log_stalled")
    asked = Target("victim", any_text=True)

    def begin(facts: dict[str, Any]) -> None:
        world.host.order("twist", fault="EngineRaises", error="RuntimeError")
        stalled.set()
        threading.Event().wait(FILLED)
        facts["failing"] = ask_many(world.address, [asked] * 4, "a", 10.0)

    def end() -> None:
        stalled.clear()
        world.host.order("untwist")

    return Doing("stderr stalls", begin, end)


@contextmanager
def to_full_disk(base: float) -> Generator[ServedWorld]:
    """A host whose stderr is on a disk that is full."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with hosted(base, stderr=full) as world:
            yield world
    finally:
        os.close(full)


def full_disk(_world: ServedWorld, _rng: Any) -> Fault:
    return Doing("full disk", lambda facts: facts.update(full=1))
