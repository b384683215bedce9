"""One suite for every source: what the protocol promises, kept by memory, etcd and a folder."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from actors.engines.contract import Kind
from actors.supervision.cancellation import CancellationToken
from discovery.codec import encode, event_of
from discovery.directory.source import DirectorySource, DirectoryTimes
from discovery.entry import Entry
from discovery.etcd.access import Endpoints
from discovery.etcd.watch import EtcdSource
from discovery.source import Deliver, Event, Put, Removed, Source, Stale, Synced, Unusable
from tests.discovery.key_values import KeyValueSource
from tests.discovery.recorder import Recorder
from tests.support.etcd import EtcdServer, unique_root

STOP: Final = 1.0
"""Seconds; the promise is 0.1, the rest is for a busy test machine."""


def key(name: str) -> bytes:
    return f"/models/chat/{name}".encode()


def put(name: str, version: int = 0) -> Event:
    return event_of(key(name), value(name, version))


def value(name: str, version: int = 0) -> bytes:
    """An entry that may stand under ``key(name)``: a folder's keys follow from its entries."""
    return encode(Entry(Kind.CHAT, name, f"http://h:{version + 1}/v1"))[1]


K, V, W = key("k"), value("k"), value("k", 1)
L, X = key("l"), value("l")


class Backend(ABC):
    """A source with the levers behind it."""

    source: Source

    @abstractmethod
    def put(self, key: bytes, value: bytes) -> None: ...

    @abstractmethod
    def delete(self, key: bytes) -> None: ...

    @abstractmethod
    def interrupt(self) -> None: ...

    @abstractmethod
    def restore(self) -> None: ...


class MemoryBackend(Backend):
    def __init__(self) -> None:
        self.memory = KeyValueSource()
        self.source = self.memory

    def put(self, key: bytes, value: bytes) -> None:
        self.memory.set(key, value)

    def delete(self, key: bytes) -> None:
        self.memory.delete(key)

    def interrupt(self) -> None:
        self.memory.interrupt("switched off")

    def restore(self) -> None:
        self.memory.restore()


class EtcdBackend(Backend):
    """Keys get a root of their own; its server may be killed."""

    def __init__(self, server: EtcdServer) -> None:
        self.server = server
        self.root = unique_root().encode()
        read = partial(event_of, root=self.root.decode())
        self.source = _Unrooted(
            EtcdSource(Endpoints.parse(server.endpoint), self.root, read=read), self.root.decode()
        )

    def put(self, key: bytes, value: bytes) -> None:
        self.server.put(self.root + key, value)

    def delete(self, key: bytes) -> None:
        self.server.delete(self.root + key)

    def interrupt(self) -> None:
        self.server.kill()

    def restore(self) -> None:
        self.server.restart()


class DirectoryBackend(Backend):
    """One file for each key, named for it, renamed into place."""

    def __init__(self, folder: Path, *, polling: bool) -> None:
        self.folder = folder / "entries"
        self.folder.mkdir()
        self.source = DirectorySource(
            self.folder,
            times=DirectoryTimes(rescan=0.5, away=0.02, poll=0.05),
            polling=polling,
        )

    def put(self, key: bytes, value: bytes) -> None:
        temporary = self.folder / ".new"
        temporary.write_bytes(value)
        temporary.rename(self._file(key))

    def delete(self, key: bytes) -> None:
        self._file(key).unlink(missing_ok=True)

    def interrupt(self) -> None:
        self.folder.rename(self.folder.with_name("away"))

    def restore(self) -> None:
        self.folder.with_name("away").rename(self.folder)

    def _file(self, key: bytes) -> Path:
        folder = self.folder if self.folder.exists() else self.folder.with_name("away")
        return folder / f"{hashlib.blake2b(key, digest_size=8).hexdigest()}.json"


class _Unrooted:
    """Shows a source's ids without their root, so that one suite can compare them."""

    def __init__(self, source: Source, root: str) -> None:
        self._source = source
        self._root = root
        self.name = source.name

    def run(self, deliver: Deliver, token: CancellationToken) -> None:
        self._source.run(lambda event: deliver(self._cut(event)), token)

    def _cut(self, event: Event) -> Event:
        if isinstance(event, Put | Unusable | Removed):
            return replace(event, id=event.id.removeprefix(self._root))
        return event


@pytest.fixture(scope="module")
def mortal_server() -> Iterator[EtcdServer]:
    with EtcdServer() as server:
        yield server


REMEMBERING: Final = ["memory", "etcd"]
"""Sources that tell every change, and whose values may be any bytes."""


@pytest.fixture(params=[*REMEMBERING, "directory", "polled directory"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "memory":
        return MemoryBackend()
    if "directory" in request.param:
        folder: Path = request.getfixturevalue("tmp_path")
        return DirectoryBackend(folder, polling="polled" in request.param)
    server: EtcdServer = request.getfixturevalue("mortal_server")
    return EtcdBackend(server)


def test_an_empty_source_is_synced_at_once(backend: Backend) -> None:
    with Recorder(backend.source) as run:
        run.until_synced()
    assert [type(event) for event in run.events] == [Synced]


def test_the_whole_content_comes_before_the_first_synced(backend: Backend) -> None:
    for name in "abcde":
        backend.put(key(name), value(name))
    backend.delete(key("d"))
    with Recorder(backend.source) as run:
        run.until_synced()
        first = next(index for index, event in enumerate(run.events) if isinstance(event, Synced))
        puts = run.events[:first]
    assert sorted(puts, key=repr) == [put(name) for name in "abce"]


def test_later_changes_come_in_their_order(backend: Backend) -> None:
    with Recorder(backend.source) as run:
        run.until_synced()
        for version in range(3):
            backend.put(K, value("k", version))
            run.until_content({K: value("k", version)})
        backend.delete(K)
        run.until_content({})
        backend.put(L, X)
        run.until_content({L: X})
    changes = [event for event in run.events if isinstance(event, Put | Removed)]
    assert changes == [
        *(put("k", version) for version in range(3)),
        Removed(K.decode()),
        put("l"),
    ]


@pytest.mark.parametrize("backend", REMEMBERING, indirect=True)
def test_a_source_with_a_history_leaves_out_no_state(backend: Backend) -> None:
    with Recorder(backend.source) as run:
        run.until_synced()
        for version in range(5):
            backend.put(K, value("k", version))
        backend.delete(K)
        backend.put(L, X)
        run.until_content({L: X})
    changes = [event for event in run.events if isinstance(event, Put | Removed)]
    assert changes == [
        *(put("k", version) for version in range(5)),
        Removed(K.decode()),
        put("l"),
    ]


def test_each_change_is_followed_by_a_synced_that_is_newer(backend: Backend) -> None:
    with Recorder(backend.source) as run:
        run.until_synced()
        backend.put(K, V)
        run.until_content({K: V})
        backend.put(L, X)
        run.until_content({K: V, L: X})
    revisions = [event.revision for event in run.events if isinstance(event, Synced)]
    assert len(revisions) >= 3
    assert revisions == sorted(revisions)
    assert revisions[-1] > revisions[0]


def test_what_can_t_be_used_is_named_with_a_reason_and_removes_nothing(backend: Backend) -> None:
    backend.put(K, V)
    with Recorder(backend.source) as run:
        run.until_synced()
        for bad in (b"\xff\xfe", b"[", b'{"name": "k", "model_type": "chat"}'):
            seen = len(run.events)
            backend.put(K, bad)
            run.until(lambda seen=seen: _refused(run.events[seen:]), "refused")  # type: ignore[misc]  # a lambda's default
        backend.put(L, X)
        run.until(lambda: put("l") in run.events, "the good one")
    assert not any(isinstance(event, Removed) for event in run.events)


def _refused(events: list[Event]) -> bool:
    return any(isinstance(event, Unusable) and event.reason for event in events)


@pytest.mark.parametrize("backend", REMEMBERING, indirect=True)
def test_any_bytes_are_refused_one_by_one(backend: Backend) -> None:
    keys = {b"\xff\xfe": b"\x00", b"a/b#c": b"", "ü".encode(): b"\xc3\x28" * 1000}
    with Recorder(backend.source) as run:
        run.until_synced()
        for each, content in keys.items():
            backend.put(each, content)
        run.until(lambda: len(run.content) == len(keys) and run.synced, "one event each")
    assert {type(event) for event in run.events} == {Unusable, Synced}


def test_deleting_an_unknown_key_is_silent(backend: Backend) -> None:
    with Recorder(backend.source) as run:
        run.until_synced()
        backend.delete(key("never"))
        backend.put(K, V)
        run.until_content({K: V})
    assert not any(isinstance(event, Removed) for event in run.events)


def test_an_outage_is_stale_and_deletes_nothing(backend: Backend) -> None:
    backend.put(K, V)
    with Recorder(backend.source) as run:
        run.until_content({K: V})
        backend.interrupt()
        run.until_stale()
        assert run.content == {K: V}
        backend.restore()
        run.until_content({K: V})
    stale = [event for event in run.events if isinstance(event, Stale)]
    assert all(event.reason for event in stale)
    assert [event for event in run.events if isinstance(event, Put)] == [put("k")]


def test_changes_go_on_after_an_outage(backend: Backend) -> None:
    backend.put(K, V)
    with Recorder(backend.source) as run:
        run.until_synced()
        backend.interrupt()
        run.until_stale()
        backend.restore()
        backend.put(K, W)
        backend.put(L, X)
        run.until_content({K: W, L: X})
        backend.delete(K)
        run.until_content({L: X})


def test_a_source_that_is_away_at_first_is_stale_and_syncs_when_it_comes(backend: Backend) -> None:
    backend.put(K, V)
    backend.interrupt()
    with Recorder(backend.source) as run:
        run.until_stale()
        assert run.content == {}
        backend.restore()
        run.until_content({K: V})


def test_a_run_stops_at_once_while_in_sync(backend: Backend) -> None:
    with Recorder(backend.source) as run:
        run.until_synced()
        assert run.stop() < STOP
    assert run.error is None


def test_a_run_stops_at_once_during_an_outage(backend: Backend) -> None:
    backend.interrupt()
    try:
        with Recorder(backend.source) as run:
            run.until_stale()
            assert run.stop() < STOP
        assert run.error is None
    finally:
        backend.restore()


def test_a_run_with_a_cancelled_token_returns_and_delivers_nothing(backend: Backend) -> None:
    run = Recorder(backend.source)
    run.token.cancel()
    with run:
        run.until(lambda: not run.running, "ended")
    assert run.events == []


def test_nothing_is_delivered_after_a_stop(backend: Backend) -> None:
    with Recorder(backend.source) as run:
        run.until_synced()
        run.stop()
        seen = len(run.events)
        backend.put(L, X)
    with Recorder(backend.source) as other:
        other.until_content({L: X})
    assert len(run.events) == seen


def test_events_come_from_the_thread_that_runs(backend: Backend) -> None:
    with Recorder(backend.source) as run:
        run.until_synced()
        backend.put(K, V)
        run.until_content({K: V})
        assert len(run.threads) == 1


def test_two_runs_may_overlap_and_each_hears_everything(backend: Backend) -> None:
    backend.put(K, V)
    with Recorder(backend.source) as first, Recorder(backend.source) as second:
        first.until_synced()
        second.until_synced()
        backend.put(L, X)
        for run in (first, second):
            run.until_content({K: V, L: X})


def test_what_deliver_raises_ends_the_run_and_reaches_the_caller(backend: Backend) -> None:
    class Poison(Exception):
        pass

    def deliver(_event: Event) -> None:
        raise Poison

    run = Recorder(backend.source)
    with pytest.raises(Poison):
        backend.source.run(deliver, run.token)
