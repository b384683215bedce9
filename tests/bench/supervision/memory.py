"""Resident memory of an idle actor, each side in a process of its own.

``python -m tests.bench.supervision.memory threaded`` prints KiB per actor: a process that has seen
other cases would hand out memory that they left behind.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from actors import Child, Supervised, Supervisor
from tests.bench.supervision.case import Case, Figures, Row, at_most
from tests.bench.supervision.subjects import PATIENCE, Stock, Threaded, Turn

__all__ = ["THREADED", "TURN"]

ACTORS: Final = 1000
"""Idle actors that share the price of one supervisor."""
KIB: Final = 1024


def _resident() -> float:
    """Resident memory of this process in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _children(kind: type[Supervised], count: int) -> object:
    return Supervisor.start(*(Child(f"idle-{number}", kind.start) for number in range(count)))


def _stock(count: int) -> object:
    return [Stock.start() for _ in range(count)]


SIDES: Final[dict[str, Callable[[int], object]]] = {
    "stock": _stock,
    "threaded": partial(_children, Threaded),
    "turn": partial(_children, Turn),
}


def _kib_per_actor(start: Callable[[int], object]) -> float:
    first = start(1)  # whatever is paid once: modules, pools
    before = _resident()
    held = start(ACTORS)
    taken = _resident() - before
    del first, held
    return taken / ACTORS / KIB


def _in_a_process(side: str) -> Figures:
    command = [sys.executable, "-m", __spec__.name, side]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=10 * PATIENCE, check=True
    )
    return {"rss": float(done.stdout)}


THREADED: Final = Case(
    "idle actor, threaded",
    (Row("rss", "KiB RSS", at_most(25, "KiB")),),
    partial(_in_a_process, "threaded"),
    partial(_in_a_process, "stock"),
    most_rounds=3,
)
TURN: Final = Case(
    "idle actor, turn",
    (Row("rss", "KiB RSS", at_most(25, "KiB")),),
    partial(_in_a_process, "turn"),
    partial(_in_a_process, "stock"),
    most_rounds=3,
)

if __name__ == "__main__":
    print(_kib_per_actor(SIDES[sys.argv[1]]))
