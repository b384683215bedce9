"""A copy of the repository to break, and what runs inside of it; the original is never touched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from tests.faults.engine import FAILED_RUN
from tests.mutants.mutant import ROOT, Mutant, NotSeeded

__all__ = ["Fate", "Outcome", "fate_of", "passes", "sandbox", "verdict"]

COPIED: Final = ("actors", "discovery", "http", "tests", "pyproject.toml")
TEST_TIMEOUT: Final = 20
"""Seconds after which a test of a mutant counts as failed: many a mutant hangs."""
TESTS_TIMEOUT: Final = 120
"""Seconds after which a run of tests counts as failed, in case their own timeout hangs, too."""
SCENARIO_TIMEOUT: Final = 240
"""Seconds for one scenario; what takes longer is a hang, and counts as noticed."""

Fate = Literal["caught", "SURVIVED", "NOT SEEDED", "NO VERDICT"]


class Outcome(RuntimeError):
    """Pytest neither passed nor failed: it could not run the tests; the message is its output."""


def fate_of(mutant: Mutant) -> tuple[Fate, str]:
    """What became of ``mutant`` in a copy of its own, and the sentence that says why."""
    with sandbox() as root:
        try:
            mutant.apply_under(root)
        except NotSeeded as error:
            return "NOT SEEDED", str(error)
        if mutant.caught_by.startswith("test_"):
            return ("SURVIVED" if passes(root, [mutant.test]) else "caught"), ""
        try:
            done = _scenario(root, mutant.caught_by)
        except subprocess.TimeoutExpired:
            return "caught", f"the scenario hung for {SCENARIO_TIMEOUT} s"
    return verdict(done.returncode, done.stdout + done.stderr)


@contextmanager
def sandbox() -> Generator[Path]:
    """A fresh copy of the product and its tests; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        root = Path(folder)
        for name in COPIED:
            source = ROOT / name
            # With its bytecode, which holds for the copies, too: they keep their times.
            copy = shutil.copytree if source.is_dir() else shutil.copy2
            copy(source, root / name)
        yield root


def passes(root: Path, nodes: Iterable[str]) -> bool:
    """Whether the tests ``nodes`` pass in the copy at ``root``. Raises :class:`Outcome`."""
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--timeout={TEST_TIMEOUT}"]
    try:
        done = _python(root, ["-m", "pytest", *options, *nodes], TESTS_TIMEOUT)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in {0, 1}:
        raise Outcome(done.stdout + done.stderr)
    return done.returncode == 0


def verdict(code: int, printed: str) -> tuple[Fate, str]:
    """The fate of a mutant by the exit code of its scenario and what that printed; pure."""
    if code == 0:
        return "SURVIVED", ""
    broke = re.search(r"^broke .*\n\s+(.+)$", printed, re.MULTILINE)
    # A run that can't be carried out does not show what the scenario would have noticed.
    if code != 1 or broke is None or broke[1].startswith(FAILED_RUN):
        return "NO VERDICT", printed[-600:]
    return "caught", broke[1]


def _scenario(root: Path, key: str) -> subprocess.CompletedProcess[str]:
    options = ["--only", f"={key}", "--seed", "1", "--no-control"]
    return _python(root, ["-m", "tests.faults", *options], SCENARIO_TIMEOUT)


def _python(
    root: Path, arguments: Sequence[str], timeout: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=root,
        env={
            **os.environ,
            # Before the editable install, whose imports would lead to the original.
            "PYTHONPATH": os.pathsep.join([str(root), str(root / "http")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_ADDOPTS": "",
        },
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
