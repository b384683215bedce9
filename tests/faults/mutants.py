"""``python -m tests.faults.mutants``: the product broken on purpose, and who notices.

Each mutant is one text of one file replaced by another, in a copy of the repository; then its
scenario, run in that copy, must break. A mutant whose text is no longer there is told as such, and
is no success. ``--only`` chooses by scenario, file or name.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from tests.faults.engine import FAILED_RUN
from tests.faults.mutant import Mutant
from tests.faults.seeds import MUTANTS

__all__ = ["ROOT", "Fate", "applied", "fate_of", "fate_told_by", "main"]

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("actors", "discovery", "http", "tests", "pyproject.toml")
RUN: Final = 240.0
"""Seconds for one scenario in a copy; what takes longer is a hang, and counts as noticed."""
BROKE: Final = 1

Fate = Literal["caught", "SURVIVED", "NOT SEEDED", "NO VERDICT"]


def applied(mutant: Mutant, source: str) -> str | None:
    """``source`` with the mutation; ``None`` if its text is not there exactly once."""
    return source.replace(mutant.old, mutant.new) if source.count(mutant.old) == 1 else None


def fate_of(mutant: Mutant) -> tuple[Fate, str]:
    """What became of a mutant, and the sentence that told on it."""
    with _sandbox() as root:
        path = root / mutant.path
        mutated = applied(mutant, path.read_text()) if path.exists() else None
        if mutated is None:
            return "NOT SEEDED", f"{mutant.path} does not hold {mutant.old!r} once"
        path.write_text(mutated)
        try:
            done = _run(root, mutant.scenario)
        except subprocess.TimeoutExpired:
            return "caught", f"the scenario hung for {RUN:g} s"
    return fate_told_by(done.returncode, done.stdout + done.stderr)


def fate_told_by(code: int, printed: str) -> tuple[Fate, str]:
    """The fate of a mutant by the exit code of its scenario and what that printed; pure."""
    if code == 0:
        return "SURVIVED", ""
    told = re.search(r"^broke .*\n\s+(.+)$", printed, re.MULTILINE)
    # A run that can't be carried out tells nothing of what the scenario would have noticed.
    if code != BROKE or told is None or told[1].startswith(FAILED_RUN):
        return "NO VERDICT", printed[-600:]
    return "caught", told[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Seed every chosen mutant and print its fate; 0 if all were caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutants", description=__doc__)
    parser.add_argument("--only", default="", help="a part of the scenario, the file or the name")
    only: str = parser.parse_args(arguments).only
    wanted = [m for m in MUTANTS if only in f"{m.scenario} {m.path} {m.name}"]
    caught = 0
    for mutant in wanted:
        fate, how = fate_of(mutant)
        caught += fate == "caught"
        print(f"{fate:10} {mutant.scenario:20} {mutant.name}\n{'':11}{how[:150]}", flush=True)
    print(f"caught {caught} of {len(wanted)}")
    return 0 if caught == len(wanted) else 1


@contextmanager
def _sandbox() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="fault-mutant-") as folder:
        root = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                # With its bytecode, which holds for the copies, too: they keep their times.
                shutil.copytree(source, root / name)
            else:
                shutil.copy(source, root / name)
        yield root


def _run(root: Path, scenario: str) -> subprocess.CompletedProcess[str]:
    # Before the editable install, whose imports would lead to the original.
    path = os.pathsep.join([str(root), str(root / "http")])
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.faults",
            "--only",
            f"={scenario}",
            "--seed",
            "1",
            "--no-control",
        ],
        cwd=root,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=RUN,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main())
