"""The etcd client against a real etcd: its answers, its errors, and that everything ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.etcd.access import Endpoint, Endpoints
from discovery.etcd.client import CHANNEL_OPTIONS, EtcdClient, WatchStream
from discovery.etcd.records import (
    EtcdCanceled,
    EtcdCompacted,
    EtcdError,
    EtcdPlanned,
    EtcdRefused,
    EtcdTokenStale,
    EtcdTooLarge,
    EtcdUnavailable,
    KeyValue,
    LeaseGone,
    prefix_end,
    translate,
)
from tests.support.etcd import EtcdServer, unique_root
from tests.support.waiting import eventually, free_port


@pytest.fixture
def client(etcd_server: EtcdServer) -> Iterator[EtcdClient]:
    connected = EtcdClient(Endpoints.parse(etcd_server.endpoint).turn(0))
    yield connected
    connected.close()


@pytest.fixture
def root() -> bytes:
    return unique_root().encode() + b"/"


def test_a_key_is_put_read_and_deleted(client: EtcdClient, root: bytes) -> None:
    client.put(root + b"k", b"\x00v")
    record = client.get(root + b"k")
    assert record is not None
    assert (record.key, record.value) == (root + b"k", b"\x00v")
    assert record.create_revision == record.mod_revision
    assert client.delete(root + b"k")
    assert not client.delete(root + b"k")
    assert client.get(root + b"k") is None


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"])
def test_etcd_is_reached_directly_whatever_proxy_the_environment_names(
    variable: str, etcd_server: EtcdServer, root: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port()}")
    for exception in ("no_proxy", "no_grpc_proxy", "NO_PROXY"):
        monkeypatch.delenv(exception, raising=False)
    client = EtcdClient(Endpoints.parse(etcd_server.endpoint).turn(0))
    try:
        client.put(root + b"k", b"v")
    finally:
        client.close()


def test_several_keys_are_put_at_one_revision(client: EtcdClient, root: bytes) -> None:
    client.put_together({root + b"a": b"1", root + b"b": b"2"})
    entries = client.snapshot(root).entries
    assert {key: pair.value for key, pair in entries.items()} == {
        root + b"a": b"1",
        root + b"b": b"2",
    }
    assert len({pair.mod_revision for pair in entries.values()}) == 1


def test_a_snapshot_holds_exactly_the_prefix(
    client: EtcdClient, etcd_server: EtcdServer, root: bytes
) -> None:
    outside = root[:-1] + b"0"  # the key right behind the prefix
    etcd_server.put(outside, b"x")
    etcd_server.put(root + b"a", b"1")
    revision = etcd_server.put(root + b"\xff\xff", b"2")
    snapshot = client.snapshot(root)
    assert snapshot.revision >= revision
    assert {key: pair.value for key, pair in snapshot.entries.items()} == {
        root + b"a": b"1",
        root + b"\xff\xff": b"2",
    }


@pytest.mark.parametrize("page", [1, 2, 3, 7, 8])
def test_a_snapshot_is_the_same_in_pages_of_any_size(
    client: EtcdClient, root: bytes, page: int
) -> None:
    for number in range(7):
        client.put(root + b"%d" % number, b"")
    snapshot = client.snapshot(root, page=page)
    assert sorted(snapshot.entries) == [root + b"%d" % number for number in range(7)]


def test_a_snapshot_whose_page_is_too_large_is_read_in_smaller_ones(
    client: EtcdClient, etcd_server: EtcdServer, root: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 200_000
    options = tuple(
        (name, limit if name == "grpc.max_receive_message_length" else value)
        for name, value in CHANNEL_OPTIONS
    )
    monkeypatch.setattr("discovery.etcd.client.CHANNEL_OPTIONS", options)
    for number in range(9):
        client.put(root + b"%d" % number, b"x" * 90_000)
    small = EtcdClient(Endpoints.parse(etcd_server.endpoint).turn(0))
    assert len(small.snapshot(root).entries) == 9
    client.put(root + b"huge", b"x" * limit)
    with pytest.raises(EtcdTooLarge):
        small.snapshot(root)
    small.close()


def test_a_snapshot_can_be_taken_of_the_past(client: EtcdClient, root: bytes) -> None:
    client.put(root + b"k", b"1")
    then = client.snapshot(root).revision
    client.delete(root + b"k")
    assert client.snapshot(root).entries == {}
    assert [*client.snapshot(root, revision=then).entries] == [root + b"k"]


def test_a_snapshot_of_nothing_has_a_revision(client: EtcdClient, root: bytes) -> None:
    snapshot = client.snapshot(root)
    assert snapshot.entries == {}
    assert snapshot.revision > 0


def test_a_watch_yields_an_empty_batch_and_then_changes_in_order(
    client: EtcdClient, root: bytes
) -> None:
    start = client.snapshot(root).revision + 1
    batches = iter(client.watch(root, start, max_age=30))
    assert next(batches).changes == ()
    client.put(root + b"k", b"1")
    client.put(root + b"k", b"2")
    client.delete(root + b"k")
    changes: list[KeyValue | bytes] = []
    while len(changes) < 3:
        changes += next(batches).changes
    values = [change.value if isinstance(change, KeyValue) else change for change in changes]
    assert values == [b"1", b"2", root + b"k"]


def test_a_watch_ends_at_its_planned_age(client: EtcdClient, root: bytes) -> None:
    begin = time.monotonic()
    with pytest.raises(EtcdPlanned):
        list(client.watch(root, client.snapshot(root).revision + 1, max_age=0.3))
    assert 0.2 < time.monotonic() - begin < 3


def test_a_watch_from_compacted_history_says_so(
    client: EtcdClient, etcd_server: EtcdServer, root: bytes
) -> None:
    first = etcd_server.put(root + b"k", b"1")
    etcd_server.put(root + b"k", b"2")
    etcd_server.compact()
    with pytest.raises(EtcdCompacted):
        list(client.watch(root, first, max_age=30))


def test_a_page_of_a_compacted_revision_says_so(
    client: EtcdClient, etcd_server: EtcdServer, root: bytes
) -> None:
    for number in range(3):
        client.put(root + b"%d" % number, b"")
    compacted = threading.Event()

    class Compacting(EtcdClient):
        def _call(self, method: Any, request: Any, timeout: float) -> Any:
            if request.revision and not compacted.is_set():
                etcd_server.put(root + b"0", b"later")
                etcd_server.compact()
                compacted.set()
            return super()._call(method, request, timeout)

    slow = Compacting(Endpoints.parse(etcd_server.endpoint).turn(0))
    with pytest.raises(EtcdCompacted):
        slow.snapshot(root, page=1)
    slow.close()
    assert compacted.is_set()


def test_closing_ends_a_watch_within_milliseconds(client: EtcdClient, root: bytes) -> None:
    batches = iter(client.watch(root, client.snapshot(root).revision + 1, max_age=30))
    next(batches)
    threading.Timer(0.05, client.close).start()
    begin = time.monotonic()
    with pytest.raises(EtcdUnavailable):
        next(batches)
    assert time.monotonic() - begin < 2


def test_a_closed_client_says_so_and_closes_twice(client: EtcdClient, root: bytes) -> None:
    client.close()
    client.close()
    with pytest.raises(EtcdUnavailable, match="closed"):
        client.snapshot(root)
    with pytest.raises(EtcdUnavailable, match="closed"):
        list(client.watch(root, 1, max_age=30))


def test_a_refused_connection_is_unavailable_at_once() -> None:
    port = free_port()
    client = EtcdClient(Endpoint("127.0.0.1", port))
    begin = time.monotonic()
    with pytest.raises(EtcdUnavailable) as raised:
        client.snapshot(b"/")
    client.close()
    assert time.monotonic() - begin < 2
    assert raised.value.summary == "etcd can't be reached"
    assert str(port) in str(raised.value)
    assert str(port) not in raised.value.summary


def test_a_frozen_etcd_hits_the_deadline_and_a_close_ends_the_call() -> None:
    with EtcdServer() as server:
        client = EtcdClient(Endpoints.parse(server.endpoint).turn(0))
        client.snapshot(b"/")
        server.freeze()
        with pytest.raises(EtcdUnavailable, match="does not answer"):
            client.snapshot(b"/", timeout=0.3)
        threading.Timer(0.1, client.close).start()
        begin = time.monotonic()
        with pytest.raises(EtcdUnavailable):
            client.snapshot(b"/", timeout=30)
        assert time.monotonic() - begin < 2


def test_a_watch_that_is_never_created_hits_its_deadline() -> None:
    with EtcdServer() as server:
        client = EtcdClient(Endpoints.parse(server.endpoint).turn(0))
        client.snapshot(b"/")
        server.freeze()
        with pytest.raises(EtcdUnavailable, match=r"does not answer: .* created no watch"):
            list(client.watch(b"/", 1, max_age=60, timeout=0.3))
        client.close()


def test_a_lease_carries_keys_and_takes_them_along(client: EtcdClient, root: bytes) -> None:
    lease = client.grant(60)
    client.put(root + b"k", b"v", lease=lease)
    assert client.keep_alive(lease) == 60
    client.revoke(lease)
    assert client.get(root + b"k") is None


def test_a_lease_that_is_gone_is_told_by_every_call(client: EtcdClient, root: bytes) -> None:
    lease = client.grant(60)
    client.revoke(lease)
    with pytest.raises(LeaseGone):
        client.keep_alive(lease)
    with pytest.raises(LeaseGone):
        client.revoke(lease)
    with pytest.raises(LeaseGone):
        client.put(root + b"k", b"v", lease=lease)


def test_no_thread_is_left_behind(etcd_server: EtcdServer, root: bytes) -> None:
    def use() -> None:
        client = EtcdClient(Endpoints.parse(etcd_server.endpoint).turn(0))
        client.snapshot(root)
        next(iter(client.watch(root, client.snapshot(root).revision + 1, max_age=30)))
        client.close()

    use()
    before = threading.active_count()
    for _ in range(10):
        use()
    eventually(lambda: threading.active_count() <= before, what="threads ended")


@pytest.mark.parametrize(
    ("code", "details", "expected", "summary"),
    [
        ("UNAVAILABLE", "", EtcdUnavailable, "etcd can't be reached"),
        ("UNAVAILABLE", "etcdserver: no leader", EtcdUnavailable, "etcd has no leader"),
        ("DEADLINE_EXCEEDED", "", EtcdUnavailable, "etcd does not answer"),
        ("UNKNOWN", "context deadline exceeded", EtcdUnavailable, "etcd does not answer"),
        ("CANCELLED", "", EtcdUnavailable, "the call to etcd was cancelled"),
        ("OUT_OF_RANGE", "required revision has been compacted", EtcdCompacted, "compacted"),
        ("NOT_FOUND", "etcdserver: requested lease not found", LeaseGone, "the lease expired"),
        ("UNAUTHENTICATED", "?", EtcdRefused, "valid credentials"),
        ("UNAUTHENTICATED", "invalid auth token", EtcdTokenStale, "token is not valid any more"),
        ("INVALID_ARGUMENT", "revision of auth store is old", EtcdTokenStale, "not valid any more"),
        ("PERMISSION_DENIED", "", EtcdRefused, "denies access"),
        ("INVALID_ARGUMENT", "duplicate key", EtcdRefused, "rejects the request"),
        ("INVALID_ARGUMENT", "user name is empty", EtcdRefused, "wants a user and a password"),
        ("INVALID_ARGUMENT", "invalid user ID or password", EtcdRefused, "refuses the user"),
        ("RESOURCE_EXHAUSTED", "too many requests", EtcdRefused, "at a limit"),
        ("RESOURCE_EXHAUSTED", "larger than max (9 vs. 8)", EtcdTooLarge, "too large"),
        ("UNAVAILABLE", "Ssl handshake failed: wrong", EtcdUnavailable, "TLS handshake"),
        ("SOMETHING_NEW", "?", EtcdUnavailable, "etcd failed (SOMETHING_NEW)"),
    ],
)
def test_grpcs_codes_become_our_errors(
    code: str, details: str, expected: type[EtcdError], summary: str
) -> None:
    error = translate(code, details, "http://10.0.0.1:2379")
    assert type(error) is expected
    assert summary in error.summary
    assert "10.0.0.1" not in error.summary
    assert "http://10.0.0.1:2379" in str(error)
    assert details in str(error)


class _Denied:
    """Such an answer carries both flags; reading ``created`` first would wait for ever."""

    compact_revision = 0
    canceled = True
    created = True
    cancel_reason = "permission denied"


class _DeniedCall:
    def __iter__(self) -> Iterator[_Denied]:
        return iter([_Denied()])

    def cancel(self) -> None:
        """As gRPC's calls."""


def test_a_denied_watch_is_noticed_although_it_says_created() -> None:
    stream = WatchStream(Endpoint("h"), _DeniedCall(), lambda: None, created_within=5, max_age=5)
    with pytest.raises(EtcdCanceled, match="permission denied"):
        list(stream)


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_the_end_of_a_prefix_lies_right_behind_its_keys(prefix: bytes, tail: bytes) -> None:
    end = prefix_end(prefix)
    if end == b"\0":
        assert prefix.strip(b"\xff") == b""
    else:
        assert prefix + tail < end
        assert not end.startswith(prefix) or prefix == b""


def test_a_watch_from_a_revision_that_etcd_never_had_is_refused(
    client: EtcdClient, root: bytes
) -> None:
    """The snapshot's etcd lost its data before the watch began: it would hear nothing for long."""
    ahead = client.snapshot(root).revision + 1000
    with pytest.raises(EtcdUnavailable, match="lost its history"):
        next(iter(client.watch(root, ahead, max_age=5.0)))
