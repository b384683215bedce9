"""No call waits for a lock that its own thread holds, whatever the garbage collector runs in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pykka
import pytest

ROOT = Path(__file__).parents[2]
VERSIONS = ["3.11", "3.12", "3.13"]


def python(version: str) -> str:
    """An interpreter of that version: this one, one on the path, or one of pyenv's."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [str(each) for each in sorted(pyenv.glob(f"{version}.*/bin/python"))]
    on_path = shutil.which(f"python{version}")
    for each in [*found, *([on_path] if on_path else [])]:
        asked = subprocess.run([each, "-c", ""], capture_output=True, timeout=30, check=False)
        if asked.returncode == 0:
            return each
    pytest.skip(f"there is no Python {version} on this machine")


@pytest.fixture
def pykka_alone(tmp_path: Path) -> Path:
    """A folder with this environment's Pykka, which is pure Python, and nothing else of it."""
    (tmp_path / "pykka").symlink_to(Path(pykka.__file__).parent)
    return tmp_path


@pytest.mark.parametrize("version", VERSIONS)
def test_every_call_may_be_made_from_a_finalizer_within_every_other(
    version: str, pykka_alone: Path
) -> None:
    done = subprocess.run(
        [python(version), "-m", "tests.supervision.garbage_program"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(pykka_alone), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


ABANDONED = """
import gc
from actors import CancellationToken

root = CancellationToken()

def handling():
    with root.child().guard() as guard, guard.token.on_cancel(lambda: None):
        yield

for _ in range(50_000):
    abandoned = [handling()]
    next(abandoned[0])
    abandoned.append(abandoned)
print("done")
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_generators_that_are_abandoned_in_a_cycle_give_their_tokens_back(
    version: str, pykka_alone: Path
) -> None:
    done = subprocess.run(
        [python(version), "-c", ABANDONED],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(pykka_alone), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")
