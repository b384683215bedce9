"""A started tree as a process: what is done to the process itself."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc
from actors.commands.running import run_until_cancelled

class Tree:
    def __init__(self, token):
        self.token = token

    def announce(self):
        print(gc.get_freeze_count(), flush=True)
        self.token.cancel()

    def stop(self):
        return None

raise SystemExit(run_until_cancelled(Tree))
"""


def test_what_lives_as_long_as_the_process_is_not_collected_again_and_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) > 10_000
