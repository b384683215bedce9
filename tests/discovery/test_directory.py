"""A folder of entries under what happens to folders: half-written, renamed, replaced, odd files.

A worker without etcd: one file in a folder, there while it runs.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from actors.engines.contract import Kind
from actors.supervision import CancellationToken
from discovery.directory import scan as scan_module
from discovery.directory import source as module
from discovery.directory.registration import FileRegistration
from discovery.directory.scan import parsed
from discovery.directory.source import DirectorySource, DirectoryTimes
from discovery.entry import Entry
from discovery.source import Put, Removed, Stale, Synced, Unusable
from tests.discovery.recorder import Recorder
from tests.discovery.world import World

TIMES = DirectoryTimes(rescan=60.0, away=0.02)  # only notices can tell of a change in time


def entry(name: str, port: int = 1, **more: Any) -> dict[str, Any]:
    endpoint = {"url": f"http://127.0.0.1:{port}/v1"}
    return {"name": name, "model_type": "chat", "endpoint": endpoint, **more}


def write(file: Path, *entries: object) -> None:
    """As a careful writer does: a temporary file, renamed into place."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(json.dumps([*entries]))
    temporary.rename(file)


def key(name: str) -> bytes:
    return f"/models/chat/{name}".encode()


def troubles(run: Recorder) -> dict[str, str]:
    found: dict[str, str] = {}
    for event in [*run.events]:
        if isinstance(event, Unusable):
            found.pop(event.id, None)
            if event.reason is not None:
                found[event.id] = event.reason
    return found


def test_a_half_written_file_is_in_trouble_and_its_last_content_stays(tmp_path: Path) -> None:
    file = tmp_path / "w.json"
    write(file, entry("a"), entry("b"))
    with Recorder(DirectorySource(tmp_path, times=TIMES)) as run:
        run.until_synced()
        file.write_text('[{"name": "a", "model_ty')
        run.until(lambda: "file:w.json" in troubles(run), "trouble")
        assert {*run.content} == {key("a"), key("b")}
        file.write_text(json.dumps([entry("b"), entry("c")]))
        run.until(lambda: {*run.content} == {key("b"), key("c")}, "the new content")
        run.until(lambda: not troubles(run), "no trouble")


def test_a_file_that_disappears_takes_its_entries_and_its_trouble_along(tmp_path: Path) -> None:
    write(tmp_path / "one.json", entry("a"))
    write(tmp_path / "two.json", entry("b"), entry("c"))
    (tmp_path / "bad.json").write_text("{")
    with Recorder(DirectorySource(tmp_path, times=TIMES)) as run:
        run.until_synced()
        assert {*run.content} == {key("a"), key("b"), key("c")}
        assert {*troubles(run)} == {"file:bad.json"}
        (tmp_path / "two.json").unlink()
        run.until(lambda: {*run.content} == {key("a")}, "only a")
        (tmp_path / "bad.json").unlink()
        run.until(lambda: not troubles(run), "no trouble")


def test_what_is_no_json_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".hidden.json").write_text("{")
    (tmp_path / "readme.txt").write_text("{")
    (tmp_path / "w.json.tmp").write_text("{")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")  # opening it would block for ever
    with Recorder(DirectorySource(tmp_path, times=TIMES)) as run:
        run.until_synced()
        assert run.stop() < 1.0
    assert [type(event) for event in run.events] == [Synced]


def test_a_mounted_config_map_is_followed_when_its_link_is_turned(tmp_path: Path) -> None:
    """Kubernetes puts a new folder beside the old and turns one link, atomically."""
    for version, name in enumerate("ab"):
        (tmp_path / f"..v{version}").mkdir()
        write(tmp_path / f"..v{version}" / "w.json", entry(name))
    (tmp_path / "..data").symlink_to("..v0")
    (tmp_path / "w.json").symlink_to("..data/w.json")
    with Recorder(DirectorySource(tmp_path, times=TIMES)) as run:
        run.until(lambda: {*run.content} == {key("a")}, "a")
        (tmp_path / "..new").symlink_to("..v1")
        (tmp_path / "..new").rename(tmp_path / "..data")
        run.until(lambda: {*run.content} == {key("b")}, "b")


def test_a_folder_that_is_replaced_by_another_is_followed_without_a_word(tmp_path: Path) -> None:
    here, other = tmp_path / "here", tmp_path / "other"
    for folder, name in ((here, "a"), (other, "b")):
        folder.mkdir()
        write(folder / "w.json", entry(name))
    times = DirectoryTimes(rescan=0.2, away=0.02)
    with Recorder(DirectorySource(here, times=times)) as run:
        run.until(lambda: {*run.content} == {key("a")}, "a")
        here.rename(tmp_path / "gone")
        other.rename(here)
        run.until(lambda: {*run.content} == {key("b")}, "b")
        write(here / "x.json", entry("c"))
        run.until(lambda: {*run.content} == {key("b"), key("c")}, "the new folder is watched")


def test_a_folder_that_is_moved_away_in_the_middle_of_a_look_deletes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed, and gone before its files are opened: an unmount, or a link that is turned."""
    folder = tmp_path / "models"
    folder.mkdir()
    write(folder / "a.json", entry("a"))
    looked = scan_module._counts  # pyright: ignore[reportPrivateUsage]  # the moment of the race
    moving: list[Path] = []

    def counts(name: str) -> bool:
        if moving and folder.exists():
            folder.rename(moving[0])
        return looked(name)

    monkeypatch.setattr(scan_module, "_counts", counts)
    with Recorder(DirectorySource(folder, times=DirectoryTimes(rescan=0.2, away=0.02))) as run:
        run.until(lambda: len(run.content) == 1 and run.synced, "the file")
        before = run.content
        moving.append(tmp_path / "elsewhere")
        run.until_stale()
        assert run.content == before
        assert not any(isinstance(event, Removed) for event in run.events)


def test_a_rewrite_in_the_same_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    """Same inode, size and time of change: nothing shows it but the content."""
    file, source = tmp_path / "w.json", DirectorySource(tmp_path, times=TIMES)
    file.write_text(json.dumps(entry("a", port=1)))
    stamp = time.time_ns() + 50_000_000
    os.utime(file, ns=(stamp, stamp))
    with Recorder(source) as run:
        run.until_synced()
        file.write_text(json.dumps(entry("a", port=2)))
        os.utime(file, ns=(stamp, stamp))
        run.until(lambda: b":2/v1" in run.content[key("a")], "the second content")


def test_a_file_that_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def counting(name: str, folder: int) -> int:
        reads.append(name)
        return os.open(name, os.O_RDONLY, dir_fd=folder)

    monkeypatch.setattr(scan_module, "_without_blocking", counting)
    for name in "ab":
        write(tmp_path / f"{name}.json", entry(name))
        os.utime(tmp_path / f"{name}.json", (1_000_000, 1_000_000))
    with Recorder(DirectorySource(tmp_path, times=TIMES)) as run:
        run.until_synced()
        write(tmp_path / "b.json", entry("b", port=2))
        run.until(lambda: b":2/v1" in run.content[key("b")], "the change")
    assert reads.count("a.json") == 1


def test_without_notices_of_the_system_the_folder_is_polled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without_inotify(**options: Any) -> RustNotify:
        if not options["force_polling"]:
            raise WatchfilesRustInternalError("OS file watch limit reached")
        return RustNotify(**options)

    monkeypatch.setattr(module, "RustNotify", without_inotify)
    with Recorder(DirectorySource(tmp_path, times=TIMES)) as run:
        run.until_synced()
        write(tmp_path / "w.json", entry("a"))
        run.until(lambda: {*run.content} == {key("a")}, "a")
    assert "no notices of the system" in caplog.text


def test_a_folder_that_is_not_there_yet_is_waited_for_and_named_in_the_log_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "later"
    with Recorder(DirectorySource(folder, times=TIMES)) as run:
        run.until_stale()
        folder.mkdir()
        run.until_synced()
    assert run.events[0] == Stale("the directory can't be read")
    assert str(folder) in caplog.text


def test_a_thousand_files_are_one_sync(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"{number}.json").write_text(json.dumps(entry(f"m{number}")))
    with Recorder(DirectorySource(tmp_path, times=TIMES)) as run:
        run.until_synced()
        puts = [event for event in run.events if isinstance(event, Put)]
    assert len(puts) == 1000
    assert not any(isinstance(event, Removed | Stale) for event in run.events)


def test_models_come_and_go_with_their_files_and_bad_ones_are_quarantined(
    world: World, tmp_path: Path
) -> None:
    write(tmp_path / "w.json", entry("a"), entry("bad", weight=-1))
    world.start(DirectorySource(tmp_path, times=TIMES))
    world.until("chat/a#")
    world.until_status(lambda status: "weight" in str(status.quarantined))
    (tmp_path / "w.json").write_text("[")
    world.until_status(lambda status: "file:w.json" in status.quarantined)
    assert world.registry.names == {"chat/a#"}
    write(tmp_path / "w.json", entry("b"))
    world.until("chat/b#")
    world.until_status(lambda status: not status.quarantined)
    (tmp_path / "w.json").unlink()
    world.until()


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
