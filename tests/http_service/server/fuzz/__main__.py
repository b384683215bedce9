"""``python -m tests.http_service.server.fuzz --cases 100000``: exits with 1 on a difference."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from random import Random

from http_service.server.parser import Parser
from http_service.telemetry.access_log import set_access_log_writer
from tests.http_service.server.fuzz.compare import difference, run
from tests.http_service.server.fuzz.inputs import make_case
from tests.http_service.server.fuzz.served import served_differs

REPORT = 10_000


def main() -> int:
    """Compare that many cases within that many seconds; tell the first difference."""
    options = argparse.ArgumentParser()
    options.add_argument("--cases", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--seconds", type=float, default=540.0, help="stop, failing, after these")
    chosen = options.parse_args()
    set_access_log_writer(lambda _record: None)
    began = time.monotonic()
    verdicts: Counter[str] = Counter()
    for number in range(chosen.cases):
        case = make_case(Random(chosen.seed * 1_000_000_007 + number))
        said = difference(case) or served_differs(case)
        if said is not None:
            print(f"case {number} of seed {chosen.seed}: {said}\n{case.data!r}\ncut at {case.cuts}")
            return 1
        refused = run(Parser, case.reads).refused
        verdicts["read" if refused is None else str(refused)] += 1
        if time.monotonic() - began > chosen.seconds:
            print(f"out of time after {number + 1} cases, no difference")
            return 1
        if (number + 1) % REPORT == 0:
            print(f"{number + 1} cases, {time.monotonic() - began:.0f} s", flush=True)
    print(f"no difference in {chosen.cases} cases: {dict(verdicts.most_common())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
