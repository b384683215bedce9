"""A started tree as a process: what is done to the process itself."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from actors.commands.running import SWITCH_SECONDS

PROGRAM = """
import gc
import json
import sys
from actors.commands.running import run_until_cancelled

class Tree:
    def __init__(self, token):
        self.token = token

    def announce(self):
        print(json.dumps([gc.get_freeze_count(), sys.getswitchinterval()]), flush=True)
        self.token.cancel()

    def stop(self):
        return None

raise SystemExit(run_until_cancelled(Tree))
"""


@pytest.fixture(scope="module")
def seen() -> tuple[int, float]:
    """Objects out of the collector's sight, and the interpreter's switch interval."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    frozen, interval = json.loads(done.stdout)
    return frozen, interval


def test_what_lives_as_long_as_the_process_is_not_collected_again_and_again(
    seen: tuple[int, float],
) -> None:
    assert seen[0] > 10_000


def test_engines_that_compute_in_python_give_way_soon(seen: tuple[int, float]) -> None:
    assert seen[1] <= SWITCH_SECONDS < sys.getswitchinterval()
