"""``make mutants``: how many of the seeded mutants the tests catch, each in a copy of its own.

First the named tests must pass on an unbroken copy, or a failure would prove nothing. Exit code 1
if a mutant survives, or no longer fits the code.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.mutant import Mutant, NotSeeded
from tests.mutants.sandbox import passes, sandbox
from tests.mutants.seeds import MUTANTS

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Seed the mutants whose name or file contains ``--only``; return the exit code."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=…", description=__doc__)
    parser.add_argument("--only", default="", help="mutants whose name or file contains this")
    only: str = parser.parse_args(arguments).only
    return run([each for each in MUTANTS if only in f"{each.file}: {each.name}"])


def run(mutants: Sequence[Mutant]) -> int:
    """Seed ``mutants``, one at a time a copy, and print what became of each; 0 if all died."""
    with sandbox() as root:
        if not passes(root, {each.node for each in mutants}):
            print("the named tests fail without any mutant: mend them first", file=sys.stderr)
            return 1
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        caught = sum(pool.map(_report, mutants))
    print(f"caught {caught} of {len(mutants)}")
    return 0 if caught == len(mutants) else 1


def caught(mutant: Mutant) -> bool:
    """Whether its test fails on ``mutant``. Raises :class:`NotSeeded`."""
    with sandbox() as root:
        mutant.apply_under(root)
        return not passes(root, [mutant.node])


def _report(mutant: Mutant) -> bool:
    """Print the fate of ``mutant``; whether it was caught."""
    try:
        died = caught(mutant)
    except NotSeeded as error:
        print(f"NOT SEEDED  {error}")
        return False
    print(f"{'caught' if died else 'SURVIVED':<10}  {mutant.file}: {mutant.name}", flush=True)
    return died


if __name__ == "__main__":
    sys.exit(main())
