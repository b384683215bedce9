"""Where a request's CPU time goes, layer by layer: ``make bench ARGS=layers``.

First the plain service is measured. Then a stopwatch is put around the functions of
``stopwatch.LAYERS``, in the running service, and the same load is driven again: the time inside
each, without what other layers spend underneath, is its share. The table gives shares of the plain
CPU time, so the stopwatch's own cost is in no figure; it makes layers of many small calls look a
little larger than they are.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from tests.bench.cases import CASES, Case
from tests.bench.measure import measure
from tests.bench.relaying import relaying
from tests.support.stats import middle

__all__ = ["main", "table"]

SHOWN: Final = (
    "parse", "server", "route", "validate", "ask", "pool", "engine", "encode", "write", "books",
    "loop",
)  # fmt: skip

MEASURED: Final = ("echo, unary", "echo, stream", "relay, unary", "relay, stream")
"""What the names of the cases begin with."""


def table(plain: Mapping[str, float], spent: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A line a layer, a column a case: microseconds; ``plain`` is the CPU of one request."""
    text = ["".join([f"{'CPU µs per request':<20}", *(f"{name:>34}" for name in plain)])]
    sums = {name: sum(spent[name].get(layer, 0) for layer in SHOWN) or 1 for name in plain}
    for layer in SHOWN:
        shares = [spent[name].get(layer, 0) / sums[name] * plain[name] for name in plain]
        text.append("".join([f"{layer:<20}", *(f"{share:>34.1f}" for share in shares)]))
    text.append("".join([f"{'all':<20}", *(f"{cpu:>34.1f}" for cpu in plain.values())]))
    return text


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the table; answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='layers …'",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the plain service")
    parser.add_argument("--scale", type=float, default=1.0, help="0.2: a fifth of the requests")
    options = parser.parse_args(arguments)
    cases = [case for case in CASES if case.name.startswith(MEASURED)]
    with relaying() as served:

        def cpu(case: Case) -> float:
            print(f"{case.name} …", file=sys.stderr, flush=True)
            return measure(served, case, options.scale, stock=False).cpu

        rounds = [[cpu(case) for case in cases] for _ in range(options.rounds)]
        plain = {
            case.name: middle(list(each))
            for case, each in zip(cases, zip(*rounds, strict=True), strict=True)
        }
        spent: dict[str, dict[str, int]] = {}
        served.layers()
        for case in cases:
            served.layers()
            cpu(case)
            spent[case.name] = served.layers()
    print("\n".join(table(plain, spent)))
    return 0
