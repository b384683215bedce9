"""Files that change while they are read, and temporary folders after their owner was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.files import TempDir, read_if_changed


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    return str(path)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file's times prove something at once."""
    monkeypatch.setattr("actors.files.SETTLED", 0)


@pytest.mark.usefixtures("settled")
def test_a_file_is_read_only_while_its_stamp_is_new(file: str) -> None:
    read = read_if_changed(file, None)
    assert read is not None
    text, stamp = read

    assert text == b"first"
    assert stamp is not None
    assert read_if_changed(file, stamp) is None


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(("name", "content"), [("file", b"longer"), ("new", b"first")])
def test_another_size_and_another_file_are_read_again(file: str, name: str, content: bytes) -> None:
    read = read_if_changed(file, None)
    assert read is not None
    written, before = Path(file).with_name(name), Path(file).stat()
    written.write_bytes(content)
    os.utime(written, ns=(before.st_atime_ns, before.st_mtime_ns))
    written.replace(file)

    assert read_if_changed(file, read[1]) is not None


def test_a_file_that_changed_a_moment_ago_has_no_stamp_yet(file: str) -> None:
    assert read_if_changed(file, None) == (b"first", None)


def test_a_file_of_the_limit_is_read_and_one_byte_more_is_not(file: str) -> None:
    assert read_if_changed(file, None, limit=5) is not None
    with pytest.raises(ValueError, match="has more than 4 bytes"):
        read_if_changed(file, None, limit=4)


def test_a_file_that_says_it_is_empty_is_not_read_beyond_the_limit() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("this system has no /proc")
    with pytest.raises(ValueError, match="has more than 10 bytes"):
        read_if_changed("/proc/self/status", None, limit=10)


def test_what_takes_the_files_place_before_it_is_opened_is_refused_as_well(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Path(file).stat()
    Path(file).unlink()
    os.mkfifo(file)

    def as_before(_path: Path) -> os.stat_result:
        return before

    monkeypatch.setattr(Path, "stat", as_before)
    with pytest.raises(ValueError, match="is not a regular file"):
        read_if_changed(file, None)


DEADLINE = 30.0

HOLD = """
import sys
from actors.files import TempDir
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
