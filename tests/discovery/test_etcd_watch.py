"""The watch loop under real faults: crash, freeze, compaction, lost data, lost deletes."""

from __future__ import annotations

import logging
import random
import socket
import threading
from typing import Any, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.etcd.access import Endpoint, Endpoints
from discovery.etcd.client import EtcdClient
from discovery.etcd.records import EtcdUnavailable, KeyValue, WatchBatch
from discovery.etcd.watch import EtcdSource, WatchTimes, difference
from discovery.source import Removed, Stale, Synced, Unusable
from tests.discovery.recorder import Recorder, raw
from tests.support.etcd import EtcdServer, unique_root
from tests.support.waiting import eventually, free_port

STOP = 1.0  # seconds; the promise is 0.1, the rest is for a busy test machine
KEY = b"/models/chat/a"


class Line:
    """Lets a source reach etcd unless it is cut."""

    def __init__(self, server: EtcdServer) -> None:
        self._server = server
        self._open = True
        self._clients: list[EtcdClient] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.cut()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self._open = False
        for client in self._clients:
            client.close()

    def mend(self) -> None:
        """Let connections through again."""
        self._open = True

    def source(self, prefix: bytes) -> EtcdSource:
        return EtcdSource(
            Endpoints.parse(self._server.endpoint), prefix, read=raw, connect=self._connect
        )

    def _connect(self, endpoint: Endpoint) -> EtcdClient:
        client = EtcdClient(endpoint)
        self._clients.append(client)
        if not self._open:
            client.close()
        return client


def source_of(server: EtcdServer, prefix: bytes = b"/models/", **times: float) -> EtcdSource:
    return EtcdSource(Endpoints.parse(server.endpoint), prefix, read=raw, times=WatchTimes(**times))


def test_a_frozen_etcd_is_noticed_and_caught_up_with(server: EtcdServer) -> None:
    server.put(KEY, "1")
    with Recorder(source_of(server, rpc=1.0)) as run:
        run.until_content({KEY: b"1"})
        server.freeze()
        run.until_stale()
        assert run.content == {KEY: b"1"}
        server.thaw()
        server.put(KEY, "2")
        run.until_content({KEY: b"2"})


def test_a_run_stops_at_once_while_etcd_is_frozen(server: EtcdServer) -> None:
    with Recorder(source_of(server)) as run:
        run.until_synced()
        server.freeze()
        assert run.stop() < STOP
    assert run.error is None


def test_a_run_stops_at_once_while_its_snapshot_hangs(server: EtcdServer) -> None:
    server.freeze()
    connected = threading.Event()

    class Telling(EtcdClient):
        def snapshot(self, *args: Any, **options: Any) -> Any:
            connected.set()
            return super().snapshot(*args, **options)

    source = EtcdSource(Endpoints.parse(server.endpoint), b"/", connect=Telling)
    with Recorder(source) as run:
        assert connected.wait(10)
        assert run.stop() < STOP
    assert run.events == []


def test_what_changed_while_etcd_was_cut_off_comes_as_the_difference(server: EtcdServer) -> None:
    """The front-end is cut off, not etcd: keys change, and the history is compacted meanwhile."""
    for name in ("same", "changed", "gone", "reput"):
        server.put(f"/m/{name}", "1")
    with Line(server) as line, Recorder(line.source(b"/m/")) as run:
        run.until(lambda: len(run.content) == 4 and run.synced, "all four")
        seen = len(run.events)
        line.cut()
        run.until_stale()
        server.put("/m/changed", "2")
        server.delete("/m/gone")
        server.delete("/m/reput")
        server.put("/m/reput", "1")
        server.put("/m/new", "1")
        server.compact()
        line.mend()
        run.until_synced()
    later = [event for event in run.events[seen:] if isinstance(event, Unusable | Removed)]
    assert later[0] == Removed("/m/gone")
    assert sorted(later[1:], key=lambda event: event.id) == [
        raw(b"/m/changed", b"2"),
        raw(b"/m/new", b"1"),
        raw(b"/m/reput", b"1"),
    ]


def test_a_compaction_at_the_head_of_a_live_watch_loses_nothing(server: EtcdServer) -> None:
    with Recorder(source_of(server)) as run:
        run.until_synced()
        for number in range(30):
            server.put(KEY, str(number))
            server.compact()
        run.until_content({KEY: b"29"})


def test_etcd_killed_and_started_again_is_synced_with(server: EtcdServer) -> None:
    server.put(KEY, "1")
    with Recorder(source_of(server)) as run:
        run.until_content({KEY: b"1"})
        for number in range(2, 4):
            server.kill()
            run.until_stale()
            server.restart()
            server.put(KEY, str(number))
            run.until_content({KEY: str(number).encode()})


def test_a_lost_data_directory_deletes_what_is_no_longer_there(server: EtcdServer) -> None:
    for name in "abc":
        server.put(f"/models/chat/{name}", "1")
    with Recorder(source_of(server, history_loss_grace=0.0)) as run:
        run.until(lambda: len(run.content) == 3 and run.synced, "all three")
        server.kill()
        server.wipe()
        server.restart()
        server.put(KEY, "2")
        run.until_content({KEY: b"2"})


def test_a_lease_that_expires_deletes_its_key(server: EtcdServer) -> None:
    server.put(KEY, "1", lease=server.grant(2))
    with Recorder(source_of(server)) as run:
        run.until_content({KEY: b"1"})
        run.until_content({})


def test_a_delete_that_etcd_lost_is_found_by_the_planned_snapshot(etcd_server: EtcdServer) -> None:
    """etcd #18089, played by a client that hides the delete from the watch."""
    root = unique_root().encode()
    etcd_server.put(root, "1")

    class Losing(EtcdClient):
        def watch(self, prefix: bytes, start_revision: int, **options: Any) -> Any:
            del prefix
            return super().watch(b"/nothing-here", start_revision, **options)

    source = EtcdSource(
        Endpoints.parse(etcd_server.endpoint),
        root,
        read=raw,
        times=WatchTimes(max_age=0.3),
        connect=Losing,
    )
    with Recorder(source) as run:
        run.until_content({root: b"1"})
        etcd_server.delete(root)
        run.until_content({})
    assert not any(isinstance(event, Stale) for event in run.events)


def repairs(run: Recorder) -> int:
    return sum(event.repaired for event in run.events if isinstance(event, Synced))


def test_a_change_that_the_watch_had_skipped_counts_as_repaired(etcd_server: EtcdServer) -> None:
    """The watch hides one key and tells of a later one: what it hid is a repair, and only that."""
    root = unique_root().encode()
    for name in (b"/gone", b"/changed"):
        etcd_server.put(root + name, "1")

    class Skipping(EtcdClient):
        def watch(self, *args: Any, **options: Any) -> Any:
            for batch in super().watch(*args, **options):
                told = tuple(c for c in batch.changes if b"/told" in getattr(c, "key", b""))
                yield WatchBatch(batch.revision, told)

    source = EtcdSource(
        Endpoints.parse(etcd_server.endpoint),
        root,
        read=raw,
        times=WatchTimes(max_age=2.0, age_jitter=0.0),
        connect=Skipping,
    )
    with Recorder(source) as run:
        run.until_synced()
        etcd_server.delete(root + b"/gone")
        etcd_server.put(root + b"/changed", "2")
        etcd_server.put(root + b"/told", "1")
        run.until(lambda: repairs(run) == 2, "two repairs")
        assert run.content == {root + b"/changed": b"2", root + b"/told": b"1"}


def test_what_changes_between_two_watches_is_no_repair(etcd_server: EtcdServer) -> None:
    root = unique_root().encode()
    etcd_server.put(root + b"/old", "1")

    class Between(EtcdClient):
        def snapshot(self, prefix: bytes, *args: Any, **options: Any) -> Any:
            if not options:  # the planned one, not the look into the past
                etcd_server.delete(root + b"/old")
                etcd_server.put(root + b"/new", str(etcd_server.port))
            return super().snapshot(prefix, *args, **options)

    source = EtcdSource(
        Endpoints.parse(etcd_server.endpoint),
        root,
        read=raw,
        times=WatchTimes(max_age=0.2),
        connect=Between,
    )
    with Recorder(source) as run:
        run.until(lambda: sum(isinstance(e, Synced) for e in run.events) >= 6, "some rounds")
    assert repairs(run) == 0


def test_a_planned_snapshot_delivers_only_what_differs(etcd_server: EtcdServer) -> None:
    root = unique_root().encode()
    etcd_server.put(root, "1")
    source = source_of(etcd_server, root, max_age=0.2)
    with Recorder(source) as run:
        run.until(lambda: sum(isinstance(e, Synced) for e in run.events) >= 4, "four rounds")
    assert [event for event in run.events if not isinstance(event, Synced)] == [raw(root, b"1")]


def test_the_next_member_is_tried_when_one_is_down(etcd_server: EtcdServer) -> None:
    root = unique_root().encode()
    members = f"http://127.0.0.1:{free_port()},{etcd_server.endpoint}"
    with Recorder(EtcdSource(Endpoints.parse(members), root)) as run:
        run.until_synced()
    assert [type(event) for event in run.events] == [Stale, Synced]


def test_a_server_that_accepts_and_never_answers_is_stale_after_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"127.0.0.1:{mute.getsockname()[1]}"
        source = EtcdSource(Endpoints.parse(endpoint), b"/", times=WatchTimes(rpc=0.3))
        with Recorder(source) as run:
            run.until_stale()
            assert run.stop() < STOP


def test_trouble_is_logged_once_and_so_is_its_end(
    server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "discovery.etcd")
    with Recorder(source_of(server)) as run:
        run.until_synced()
        server.kill()
        run.until(lambda: sum(isinstance(e, Stale) for e in run.events) >= 4, "four failures")
        server.restart()
        run.until_synced()
    troubles = [record for record in caplog.records if record.levelname == "WARNING"]
    summaries = {str(record.args).partition(":")[0] for record in troubles}
    assert len(summaries) == len(troubles), "each kind of trouble is logged once"
    assert str(server.port) in troubles[0].getMessage()
    said = [record.getMessage() for record in caplog.records if record.levelname == "INFO"]
    assert said == ["in sync with etcd"] * 2


def test_what_may_be_shown_holds_no_address(server: EtcdServer) -> None:
    with Recorder(source_of(server)) as run:
        run.until_synced()
        server.kill()
        run.until_stale()
    reasons = {event.reason for event in run.events if isinstance(event, Stale)}
    assert not any("127.0.0.1" in reason for reason in reasons)


def test_no_thread_is_left_after_many_runs(etcd_server: EtcdServer) -> None:
    def once() -> None:
        with Recorder(source_of(etcd_server, unique_root().encode())) as run:
            run.until_synced()

    once()
    before = threading.active_count()
    for _ in range(10):
        once()
    eventually(lambda: threading.active_count() <= before, what="threads ended")


def test_a_watch_that_fails_right_after_its_creation_is_not_retried_in_a_hurry() -> None:
    """Otherwise each quick failure would read 10,000 keys again, ten times a second."""
    waits: list[float] = []

    class Failing:
        def __init__(self, endpoint: Endpoint) -> None:
            del endpoint

        def snapshot(self, *_args: Any) -> Any:
            raise EtcdUnavailable("etcd can't be reached")

        def close(self) -> None:
            pass

    class Bounds(random.Random):
        def uniform(self, a: float, b: float) -> float:
            del a
            waits.append(b)
            return 0.0

    source = EtcdSource(Endpoints.parse("h:1"), b"/", connect=Failing, rng=Bounds())  # type: ignore[arg-type]  # a fake client
    with Recorder(source) as run:
        run.until(lambda: len(run.events) >= 8, "eight failures")
    assert waits[:7] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


records = st.dictionaries(
    st.sampled_from([b"a", b"b", b"c", b"d"]),
    st.tuples(st.binary(max_size=1), st.integers(1, 3), st.integers(1, 3)),
)


@given(records, records)
def test_the_difference_leads_from_one_content_to_the_other(
    old: dict[bytes, Any], new: dict[bytes, Any]
) -> None:
    before = {key: KeyValue(key, *rest) for key, rest in old.items()}
    known = {key: record.version for key, record in before.items()}
    seen = {key: KeyValue(key, *rest) for key, rest in new.items()}
    content = {key: record.value for key, record in before.items()}
    for event in difference(known, seen):
        if isinstance(event, KeyValue):
            assert before.get(event.key) != seen[event.key]
            content[event.key] = event.value
        else:
            del content[event]
    assert content == {key: record.value for key, record in seen.items()}


def test_a_key_put_again_with_the_same_value_is_delivered() -> None:
    old = {b"k": KeyValue(b"k", b"v", 1, 1)}
    known = {b"k": old[b"k"].version}
    seen = {b"k": KeyValue(b"k", b"v", 5, 5)}
    assert list(difference(known, seen)) == [seen[b"k"]]
    assert list(difference(known, old)) == []
