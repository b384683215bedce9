"""Temporary folders: private, gone at the end, and gone at the next start after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.temp_dirs import TempDir

DEADLINE = 30.0

HOLD = """
import sys
from actors.temp_dirs import TempDir
folder = TempDir("held-")
(folder.path / "data").write_text("much")
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders are made, here and in processes that a test starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that holds a folder until it is killed, and that folder."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()
        process.wait(DEADLINE)


def test_a_folder_is_private_and_gone_at_the_end(place: Path) -> None:
    with TempDir("mine-") as folder:
        assert folder.path.parent == place
        assert folder.path.name.startswith("mine-")
        assert folder.path.stat().st_mode & 0o777 == 0o700
        (folder.path / "below").mkdir()
        (folder.path / "below" / "file").write_text("x")
    assert list(place.iterdir()) == []
    folder.close()


def test_what_a_killed_process_left_is_gone_at_the_next_start(
    holder: tuple[subprocess.Popen[str], Path],
) -> None:
    process, left = holder
    process.send_signal(signal.SIGKILL)
    process.wait(DEADLINE)
    assert (left / "data").exists(), "nobody could remove it"
    with TempDir("other-"):
        assert left.exists(), "another prefix is another's"
    with TempDir("held-") as mine:
        assert not left.exists()
        assert mine.path.exists()


def test_the_folder_of_a_process_that_lives_is_left_alone(
    holder: tuple[subprocess.Popen[str], Path],
) -> None:
    process, held = holder
    with TempDir("held-"), TempDir("held-") as second:
        assert (held / "data").read_text() == "much"
        assert second.path.exists()
    assert process.poll() is None
    assert held.exists()


def test_what_is_not_known_to_be_left_is_not_touched(place: Path) -> None:
    """A folder that holds no lock (yet), a file, and a link to somewhere else."""
    elsewhere = place / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (place / "held-new").mkdir()
    (place / "held-file").touch()
    (place / "held-link").symlink_to(elsewhere)
    before = {*place.iterdir()}
    TempDir("held-").close()
    assert {*place.iterdir()} == before
    assert (elsewhere / "lock").exists()
