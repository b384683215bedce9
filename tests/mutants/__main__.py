"""``make mutants``: break the product on purpose, and show whether a test or a scenario notices.

Each mutant changes one function in a copy of the repository; then its test or its scenario, run in
that copy, must fail. The exit code is 1 if a mutant survives, or no longer fits the code.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.mutant import Mutant
from tests.mutants.sandbox import fate_of, passes, sandbox
from tests.mutants.seeds import BY_SCENARIOS, BY_TESTS

__all__ = ["main", "run"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the chosen mutants; return the exit code."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=…", description=__doc__)
    parser.add_argument("--only", default="", help="part of a function, a name, a test or scenario")
    parser.add_argument("--by", choices=["tests", "scenarios"], help="those that these must catch")
    options = parser.parse_args(arguments)
    chosen = {"tests": BY_TESTS, "scenarios": BY_SCENARIOS, None: (*BY_TESTS, *BY_SCENARIOS)}
    return run([m for m in chosen[options.by] if options.only in f"{m.caught_by} {m.label}"])


def run(mutants: Sequence[Mutant]) -> int:
    """Try ``mutants`` and print the fate of each; 0 if all were caught.

    The named tests must pass on an unbroken copy first, or a failure would prove nothing. Scenarios
    measure time, so they run one after another.
    """
    nodes = {mutant.test for mutant in mutants} - {""}
    if nodes:
        with sandbox() as root:
            if not passes(root, nodes):
                print("the named tests fail without any mutant: repair them", file=sys.stderr)
                return 1
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        caught = sum(pool.map(_report, (mutant for mutant in mutants if mutant.test)))
    caught += sum(_report(mutant) for mutant in mutants if not mutant.test)
    print(f"caught {caught} of {len(mutants)}")
    return 0 if caught == len(mutants) else 1


def _report(mutant: Mutant) -> bool:
    """Print the fate of ``mutant``; whether it was caught."""
    fate, why = fate_of(mutant)
    print(f"{fate:10}  {mutant.label}\n{'':12}{mutant.caught_by}: {why[:150]}", flush=True)
    return fate == "caught"


if __name__ == "__main__":
    sys.exit(main())
