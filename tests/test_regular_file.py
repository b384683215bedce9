"""A file that is read again and again: when it counts as unchanged, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.regular_file import read_if_changed


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "file"
    path.write_bytes(b"first")
    return str(path)


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a file's times prove something at once."""
    monkeypatch.setattr("actors.regular_file.SETTLED", 0)


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
