"""``python -m tests.chaos``: random faults of a real etcd under load, from a seed.

Twenty writers change an etcd that is killed, frozen, compacted, cut off and held up at random,
while a front-end's discovery follows it through a proxy. In the end the registry must hold what
etcd holds, and no model whose key stayed may ever have left. The exit code tells.
"""

from __future__ import annotations

import argparse
import logging
import random
import statistics
import sys

from tests.chaos.faults import FAULTS
from tests.chaos.run import Report, default_source, run
from tests.chaos.sabotage import SABOTAGES


def main() -> int:
    """Run, print, answer 0 if every promise was kept."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="how long (default 600)")
    parser.add_argument("--seed", type=int, help="repeats a run's choices (default: a new one)")
    parser.add_argument(
        "--longest", type=float, default=18.0, help="seconds of the longest outage (default 18)"
    )
    parser.add_argument("--sabotage", choices=[*SABOTAGES], help="break the watch loop: must fail")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}, {options.seconds:g} s", flush=True)
    report = run(
        options.seconds,
        seed,
        longest=options.longest,
        make_source=SABOTAGES.get(options.sabotage, default_source),
        say=lambda text: print(text, flush=True),
    )
    show(report)
    return 1 if report.failures else 0


def show(report: Report) -> None:
    """Print the recovery times of each fault, the counts, and the verdict."""
    print(f"\n{'recovery after':<26} {'times':>6} {'median ms':>10} {'max ms':>8}")
    for fault in FAULTS:
        times = [each.seconds * 1000 for each in report.recoveries if each.fault == fault]
        if times:
            print(f"{fault:<26} {len(times):6} {statistics.median(times):10.0f} {max(times):8.0f}")
    print(
        f"\n{len(report.recoveries)} faults, {report.writes} writes, {report.drops} drops, "
        f"{report.resyncs} resyncs, {report.repairs} repairs, {report.entries} entries at the end"
    )
    for failure in report.failures:
        print(f"FAILED: {failure}")
    if not report.failures:
        print(f"registry == etcd, 0 wrong deletes (seed {report.seed})")


if __name__ == "__main__":
    sys.exit(main())
