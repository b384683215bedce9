"""How a figure is taken: latencies one by one, CPU and rate over many, busy neighbours."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from tests.bench.supervision.case import Figures

__all__ = ["MICRO", "MILLI", "Work", "busy_threads", "cpu", "latencies", "quantiles", "seconds"]

MICRO: Final = 1e6
"""Microseconds in a second."""
MILLI: Final = 1e3
"""Milliseconds in a second."""

Work = Callable[[], object]


def latencies(work: Work, count: int) -> list[float]:
    """Seconds that each of ``count`` calls took, by the wall clock, after a tenth as warm-up."""
    for _ in range(count // 10):
        work()
    gc.collect()
    taken: list[float] = []
    now = time.perf_counter
    for _ in range(count):
        begun = now()
        work()
        taken.append(now() - begun)
    return taken


def quantiles(taken: list[float], scale: float) -> Figures:
    """``p50`` and ``p99`` of seconds, in the unit that ``scale`` makes of them."""
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    return {"p50": cuts[49] * scale, "p99": cuts[98] * scale}


def cpu(work: Work, count: int) -> float:
    """CPU seconds of the whole process, kernel included, per call: a neighbour changes little."""
    for _ in range(count // 10):
        work()
    gc.collect()
    begun = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - begun) / count


def seconds(work: Work) -> float:
    """Seconds that one call took, by the wall clock."""
    gc.collect()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


@contextmanager
def busy_threads(count: int) -> Generator[None]:
    """``count`` threads that compute for as long as the block lasts, as engines in Python do."""
    over = threading.Event()

    def compute() -> None:
        while not over.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=compute, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
