"""Runs a client from npm with its service in a network namespace that has loopback only."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

__all__ = ["run_isolated"]

ISOLATED: Final = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
"""Which root may make."""


def run_isolated(module: str, client: str, package: Path) -> dict[str, Any]:
    """What ``python -m module client`` printed; skips where it is not possible.

    ``package`` is what npm installed of the client.
    """
    if not package.exists():
        pytest.skip(f"{client} is not installed: see tests/e2e/npm, and set CALLBOARD_AGENTS")
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("only root can give a client a network of its own")
    done = subprocess.run(
        [*ISOLATED, sys.executable, "-m", module, client],
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result
