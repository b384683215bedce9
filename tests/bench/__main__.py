"""``make bench``: CPU of the service per request, in-process echo, unary and streamed.

The service runs as a process of its own on one core, the clients on another. What is counted is the
CPU time that the kernel charged to the service between the first and the last request, so a
neighbour on the machine disturbs the figure little. The cases take turns in rounds; quote the
median, and compare only figures of one run.

``make bench ARGS=supervision`` measures the supervision library instead.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence

from tests.bench.cases import CASES, Case
from tests.bench.load import measure
from tests.bench.served import Served
from tests.bench.supervision.command import main as supervision

COLUMNS = "{:<34} {:>10} {:>10} {:>10} {:>12}"


def main() -> None:
    """Run what the first argument names: ``supervision``, else the service."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["supervision"]:
        supervision(arguments[1:])
    else:
        service(arguments)


def service(arguments: Sequence[str]) -> None:
    """Run every case for some rounds and print one line a case."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="requests a case and round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds; the cases take turns")
    parser.add_argument("--connections", type=int, default=8, help="kept-alive connections")
    options = parser.parse_args(arguments)
    figures: dict[Case, list[tuple[float, float]]] = {case: [] for case in CASES}
    with Served("--engine", "echo") as served:
        for number in range(options.rounds):
            for case in CASES:
                print(f"round {number + 1}: {case.name} …", file=sys.stderr)
                measure(served, case, options.requests // 10, options.connections)  # warm-up
                figures[case].append(measure(served, case, options.requests, options.connections))
        print(f"service on core {served.core}; memory {served.memory_mib():.1f} MiB (RSS)")
    print(COLUMNS.format("case", "CPU µs min", "median", "max", "requests/s"))
    for case, rows in figures.items():
        costs = [cost for cost, _ in rows]
        rates = [rate for _, rate in rows]
        middle = statistics.median(costs)
        print(
            COLUMNS.format(
                case.name,
                f"{min(costs):.0f}",
                f"{middle:.0f}",
                f"{max(costs):.0f}",
                f"{statistics.median(rates):.0f}",
            )
        )


if __name__ == "__main__":
    main()
