"""A copy of the repository to break, and pytest run inside of it; the original is never touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Final

__all__ = ["ROOT", "Outcome", "passes", "sandbox"]

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("actors", "tests", "pyproject.toml")
"""What the tests of the supervision library need."""
TEST_TIMEOUT: Final = 20
"""Seconds after which a test of a mutant counts as failed: many a mutant hangs."""
RUN_TIMEOUT: Final = 120
"""Seconds after which a whole run counts as failed, in case the timeout of the test hangs, too."""

PASSED: Final = 0
FAILED: Final = 1


class Outcome(RuntimeError):
    """Pytest neither passed nor failed: it could not run the tests; the message is its output."""


@contextmanager
def sandbox() -> Generator[Path]:
    """A fresh copy of what is tested and of its tests; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        root = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, root / name)
        yield root


def passes(root: Path, nodes: Iterable[str]) -> bool:
    """Whether the tests ``nodes`` pass in the copy at ``root``. Raises :class:`Outcome`."""
    try:
        done = _pytest(root, nodes)
    except subprocess.TimeoutExpired:
        return False
    if done.returncode not in {PASSED, FAILED}:
        raise Outcome(done.stdout + done.stderr)
    return done.returncode == PASSED


def _pytest(root: Path, nodes: Iterable[str]) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--timeout={TEST_TIMEOUT}"]
    environment = {
        **os.environ,
        # Before the editable install, whose imports would lead to the original.
        "PYTHONPATH": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_ADDOPTS": "",
    }
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *nodes],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT,
        check=False,
    )
