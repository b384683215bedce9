"""``make bench``: CPU of the service per request and token, in process and relayed, beside stock.

The service runs as a process of its own on one core, the clients and the mock upstream on another.
What is counted is the CPU time that the kernel charged to the service, so a neighbour on the
machine disturbs it little. *Stock* is the same application, in the same process, under plain
Waitress with eight threads; the ratio is ours over stock's. The cases take turns in rounds; quote
the medians, and compare only figures of one run. Latencies: of the whole answer, or, in the cases
counted by token, from the making of a token to its arrival.

``make bench ARGS=supervision`` measures the supervision library instead; ``layers`` shows where a
request's time goes, ``way`` which files and how many calls it takes, ``recorder`` what the
console's recorders cost; ``held_streams``, ``slow_clients``, ``body_memory``, ``disconnects``,
``pools``, ``dialects`` and ``discovery`` (``ARGS='pools --help'``) what their names say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from tests.bench import (
    body_memory,
    dialects,
    disconnects,
    discovery,
    held_streams,
    layers,
    pools,
    recorder,
    slow_clients,
    way,
)
from tests.bench.cases import CASES
from tests.bench.measure import run
from tests.bench.relaying import relaying
from tests.bench.supervision.command import main as supervision
from tests.bench.table import lines, thread_lines

__all__ = ["main", "service"]


def main() -> int:
    """Run what the first argument names, else the service's cases; answer the exit code."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in OTHERS:
        return OTHERS[arguments[0]](arguments[1:]) or 0
    return service(arguments)


def service(arguments: Sequence[str]) -> int:
    """Run every case for some rounds and print both tables; 1 if a request of ours failed."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=…",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the cases take turns")
    parser.add_argument("--scale", type=float, default=1.0, help="0.2: a fifth of the requests")
    parser.add_argument("--only", default="", help="cases whose name contains this text")
    parser.add_argument("--no-stock", action="store_true", help="leave stock Waitress out")
    options = parser.parse_args(arguments)
    chosen = [case for case in CASES if options.only in case.name]
    with relaying() as served:
        idle = served.memory_mib()
        results = run(
            served,
            chosen,
            rounds=options.rounds,
            scale=options.scale,
            with_stock=not options.no_stock,
            report=partial(print, file=sys.stderr, flush=True),
        )
        print(
            f"service on core {served.core}; memory {idle:.1f} MiB before the first request, "
            f"{served.memory_mib():.1f} MiB after the last one (RSS)\n"
        )
    print("\n".join(lines(results)))
    print("\nCPU µs of ours, by thread:")
    print("\n".join(thread_lines(results)))
    return 1 if any(figures.failed for result in results for figures in result.ours) else 0


OTHERS: Final[dict[str, Callable[[Sequence[str]], int | None]]] = {
    "supervision": supervision,
    "layers": layers.main,
    "held_streams": held_streams.main,
    "slow_clients": slow_clients.main,
    "body_memory": body_memory.main,
    "disconnects": disconnects.main,
    "pools": pools.main,
    "recorder": recorder.main,
    "discovery": discovery.main,
    "way": way.main,
    "dialects": dialects.main,
}

if __name__ == "__main__":
    sys.exit(main())
