"""``make bench ARGS=supervision``: the library beside stock Pykka, every promise with its figure.

Everything runs on one core, in one process (memory excepted), both sides in turns: a figure alone
says little about another machine, the ratio within one run does.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from typing import Final

from tests.bench.supervision import asks, children, crashes, memory, tells, turns
from tests.bench.supervision.case import Case
from tests.bench.supervision.rounds import run
from tests.bench.supervision.table import lines

__all__ = ["CASES", "main"]

CASES: Final[tuple[Case, ...]] = (
    asks.CASE,
    turns.ALONE,
    turns.BESIDE_BUSY_THREADS,
    tells.CASE,
    tells.TURN,
    crashes.THREADED,
    crashes.TURN,
    memory.THREADED,
    memory.TURN,
    children.THREADED,
    children.TURN,
    children.NAMED,
)


def main(arguments: Sequence[str]) -> None:
    """Run the cases for some rounds and print the table."""
    parser = argparse.ArgumentParser(prog="make bench ARGS='supervision …'", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the cases take turns")
    parser.add_argument("--only", default="", help="cases whose name contains this text")
    options = parser.parse_args(arguments)
    chosen = [case for case in CASES if options.only in case.name]
    # Each crash is logged; into nothing, as a terminal would take longer than the restart.
    logging.getLogger("actors").addHandler(logging.NullHandler())
    core = _pin()
    results = run(chosen, options.rounds, partial(print, file=sys.stderr))
    print(f"core {core}; Python {platform.python_version()}; Pykka {version('pykka')}; medians")
    print("\n".join(lines(results)))


def _pin() -> int:
    """Bind this process to the last core it may use, and its threads and children with it."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core
