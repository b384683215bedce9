"""Runs pip and other programs, and fails with what they printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "pip", "succeed"]

ROOT = Path(__file__).parents[2]


def pip(*arguments: str) -> str:
    return succeed(sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)


def succeed(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
    return done.stdout
