"""etcd faults on a real etcd: each is on, and off again, as etcd itself sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.testing.faults import (
    EtcdCompaction,
    EtcdFreeze,
    EtcdGarbage,
    EtcdHandle,
    EtcdKill,
    EtcdLeaseExpiry,
    EtcdWiped,
    Fault,
)
from actors.testing.faults.etcd import GARBAGE
from tests.support.etcd import EtcdServer


@pytest.fixture(scope="module")
def etcd() -> Iterator[EtcdServer]:
    with EtcdServer() as server:
        yield server


def test_the_servers_of_the_tests_are_handles(etcd: EtcdServer) -> None:
    handle: EtcdHandle = etcd
    handle.put(b"k", b"v")
    assert etcd.get("k") == b"v"


def test_a_killed_etcd_is_back_with_its_data(etcd: EtcdServer) -> None:
    etcd.put("kept", "1")
    with EtcdKill(etcd):
        assert not etcd.healthy()
    assert etcd.get("kept") == b"1"


def test_a_wiped_etcd_begins_anew(etcd: EtcdServer) -> None:
    before = etcd.put("lost", "1")
    EtcdWiped(etcd).inject()
    assert etcd.get("lost") is None
    assert etcd.put("new", "1") < before or before == 2


def test_compaction_leaves_no_history(etcd: EtcdServer) -> None:
    first = etcd.put("c", "1")
    etcd.put("c", "2")
    EtcdCompaction(etcd).inject()
    with pytest.raises(RuntimeError, match="compacted"):
        etcd.call("kv/range", key=b"c", revision=first)


def test_garbage_is_there_and_gone_again(etcd: EtcdServer) -> None:
    with EtcdGarbage(etcd, b"/g/"):
        for name, value in GARBAGE.items():
            assert etcd.get(b"/g/" + name) == value
    assert all(etcd.get(b"/g/" + name) is None for name in GARBAGE)


def test_an_etcd_fault_counts_what_it_did(etcd: EtcdServer) -> None:
    faults: list[tuple[Fault, int]] = [
        (EtcdFreeze(etcd), 1),
        (EtcdKill(etcd), 1),
        (EtcdCompaction(etcd), 1),
        (EtcdGarbage(etcd, b"/counted/"), len(GARBAGE)),
        (EtcdLeaseExpiry(etcd, etcd.grant(60)), 1),
        (EtcdWiped(etcd), 1),
    ]
    for fault, times in faults:
        assert fault.happened == 0
        with fault:
            assert fault.happened == times, fault


def test_an_expired_lease_takes_its_keys(etcd: EtcdServer) -> None:
    lease = etcd.grant(60)
    etcd.put("leased", "1", lease=lease)
    EtcdLeaseExpiry(etcd, lease).inject()
    assert etcd.get("leased") is None


def test_a_frozen_etcd_goes_on_when_healed(etcd: EtcdServer) -> None:
    with EtcdFreeze(etcd):
        pass
    assert etcd.healthy()
