"""A thousand clients that mean ill, and one that does not: what does the good one notice?

``make bench ARGS='slow_clients'``: a third of the attackers drip a header, a third drip a body, a
third ask for a long answer and do not read it; whoever is thrown out comes back. A normal client's
unary requests are measured without and with them, in rounds that take turns. The exit code is 1 if
one of its requests failed.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.peers.clients import Request
from tests.bench.peers.load import Load, Outcome, drive
from tests.bench.peers.script import Script, post
from tests.bench.served import Served
from tests.support.child import Child
from tests.support.stats import Quantiles

__all__ = ["main"]

ATTACK_START: Final = 60.0
STOP_TIMEOUT: Final = 20.0
CLIENTS: Final = 4
"""Connections of the normal client."""

_ROOT: Final = Path(__file__).parents[2]
_report = partial(print, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; answer the exit code."""
    options = _parse(arguments)
    with Served() as served:
        quiet, attacked = Outcome(), Outcome()
        thrown: Counter[str] = Counter()
        _measure(served, options.requests // 5, Outcome())  # warm-up
        memory = [served.memory_mib()]
        for number in range(options.rounds):
            _report(f"round {number + 1}: alone …")
            _measure(served, options.requests, quiet)
            _report(f"round {number + 1}: beside {options.attackers} slow clients …")
            with _attack(served, options.attackers, thrown):
                threading.Event().wait(options.settle)
                _measure(served, options.requests, attacked)
                memory.append(served.memory_mib())
    print(f"a normal client, {CLIENTS} connections, unary echo of 16 tokens")
    print(_line("alone", quiet))
    print(_line(f"beside {options.attackers} slow clients", attacked))
    print("thrown out:", ", ".join(f"{each} {thrown[each]}" for each in sorted(thrown)) or "nobody")
    print(
        f"memory: {memory[0]:.0f} MiB before, {max(memory[1:]):.0f} MiB at most beside them (RSS)"
    )
    return 1 if quiet.failures or attacked.failures else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.slow_clients",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--attackers", type=int, default=1000, help="slow connections at once")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each alone and beside them")
    parser.add_argument(
        "--settle", type=float, default=5.0, help="seconds of attack before it is measured"
    )
    parser.add_argument("--requests", type=int, default=3000, help="normal requests a round")
    return parser.parse_args(arguments)


def _measure(served: Served, requests: int, into: Outcome) -> None:
    payload = post(Script(16), model="echo", text=" ".join(["@word"] * 16))
    seen = drive(served.ours, Load(Request(payload, 16), CLIENTS, requests, timeout=60.0))
    into.asked += seen.asked
    into.done += seen.done
    into.failed.update(seen.failed)
    into.seconds += seen.seconds
    into.whole.extend(seen.whole)


@contextmanager
def _attack(served: Served, attackers: int, thrown: Counter[str]) -> Generator[None]:
    """``attackers`` slow clients in a process of their own, for as long as the block lasts."""
    words = (str(served.ours[1]), "--count", str(attackers))
    with Child("tests.bench.slowloris", *words, core=served.load_core) as process:
        yield  # it has said that all are in place
        thrown.update(process.end())


def _line(name: str, seen: Outcome) -> str:
    times = Quantiles.of(seen.whole)
    failed = "; ".join(f"{count}: {reason}" for reason, count in seen.failed.items())
    return (
        f"{name:<28} p50 {times.p50:7.2f} ms   p99 {times.p99:7.2f} ms   "
        f"max {max(seen.whole, default=0.0) * 1e3:8.2f} ms   "
        f"{seen.rate:6,.0f} answers/s   failed {failed or 0}"
    )


if __name__ == "__main__":
    raise SystemExit(main())
