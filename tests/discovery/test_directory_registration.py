"""A worker without etcd: one file in a folder, there while it runs."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from actors.engines.contract import Kind
from actors.supervision import CancellationToken
from discovery.directory.registration import FileRegistration
from discovery.directory.scan import parsed
from discovery.entry import Entry
from discovery.source import Put

ENTRIES = [Entry(kind, "m", "http://127.0.0.1:8000/v1", "w1") for kind in Kind]


@contextmanager
def running(registration: FileRegistration) -> Generator[None]:
    token = CancellationToken()
    thread = threading.Thread(target=registration.run, args=(token,))
    thread.start()
    try:
        assert registration.wait_registered(30)
        yield
    finally:
        token.cancel()
        thread.join(30)
        assert not thread.is_alive()


def told(folder: Path) -> list[Entry]:
    """What a front-end reads there."""
    (file,) = folder.glob("*.json")
    events = [announced.event for announced in parsed(file.read_bytes(), (0, 0, 0), None).entries]
    return [event.entry for event in events if isinstance(event, Put)]


def test_the_entries_are_there_while_it_runs_and_gone_afterwards(tmp_path: Path) -> None:
    registration = FileRegistration(tmp_path, ENTRIES)
    assert not registration.status.registered
    with running(registration):
        assert registration.status.registered
        assert told(tmp_path) == ENTRIES
    assert not registration.status.registered
    assert [*tmp_path.iterdir()] == []


def test_a_drain_is_written_at_once(tmp_path: Path) -> None:
    registration = FileRegistration(tmp_path, ENTRIES)
    assert not registration.drain(1.0), "nothing is announced yet"
    with running(registration):
        assert registration.drain(1.0)
        assert {entry.state for entry in told(tmp_path)} == {"draining"}
        assert registration.status.draining


def test_the_file_of_a_killed_worker_is_replaced_by_its_successors(tmp_path: Path) -> None:
    (tmp_path / "worker-w1.json").write_text("[]")
    with running(FileRegistration(tmp_path, ENTRIES)):
        assert told(tmp_path) == ENTRIES


def test_a_file_that_somebody_removed_is_no_failure_at_the_end(tmp_path: Path) -> None:
    with running(FileRegistration(tmp_path, ENTRIES)):
        (tmp_path / "worker-w1.json").unlink()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    registration = FileRegistration(tmp_path / "missing", ENTRIES)
    with pytest.raises(FileNotFoundError):
        registration.run(CancellationToken())
    assert not registration.status.registered
