"""Several members of one etcd: whichever dies, freezes or loses its leader, another answers."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from actors.engines.contract import Kind
from discovery.codec import encode
from discovery.entry import Entry
from discovery.etcd.access import Endpoints
from discovery.etcd.registration import EtcdRegistration
from discovery.etcd.watch import EtcdSource, WatchTimes
from discovery.source import Stale
from tests.discovery.recorder import Recorder, raw
from tests.discovery.test_registration import Running
from tests.support.etcd import EtcdCluster

KEY = b"/models/chat/m"


@pytest.fixture
def cluster() -> Iterator[EtcdCluster]:
    with EtcdCluster() as started:
        yield started


def source_of(cluster: EtcdCluster) -> EtcdSource:
    times = WatchTimes(rpc=1.0)
    return EtcdSource(Endpoints.parse(cluster.endpoints), b"/models/", read=raw, times=times)


def test_when_the_member_in_use_dies_the_next_one_is_in_use(cluster: EtcdCluster) -> None:
    first, second, _ = cluster.members
    second.put(KEY, "1")
    with Recorder(source_of(cluster)) as run:
        run.until_content({KEY: b"1"})
        first.kill()
        run.until_stale()
        run.until_synced()
        second.put(KEY, "2")
        run.until_content({KEY: b"2"})


def test_a_registration_moves_to_the_next_member_and_keeps_its_lease(
    cluster: EtcdCluster,
) -> None:
    entry = Entry(Kind.CHAT, "m", "http://h/v1")
    registration = EtcdRegistration(Endpoints.parse(cluster.endpoints), [entry], ttl=3)
    with Running(registration) as run:
        assert run.registration.wait_registered(10)
        lease = run.registration.status.lease
        cluster.members[0].kill()
        deadline = time.monotonic() + 20
        while run.registration.status.registered and time.monotonic() < deadline:
            run.token.wait(0.05)
        assert run.registration.wait_registered(20)
        assert run.registration.status.lease == lease
        assert cluster.members[1].get(encode(entry)[0])


@pytest.mark.timeout(120)
def test_a_member_without_a_leader_is_stale_and_keeps_what_is_known(cluster: EtcdCluster) -> None:
    """Two of three die: the third accepts a watch and would stay silent for ever."""
    first, second, third = cluster.members
    first.put(KEY, "1")
    only = EtcdSource(
        Endpoints.parse(first.endpoint), b"/models/", read=raw, times=WatchTimes(rpc=1.0)
    )
    with Recorder(only) as run:
        run.until_content({KEY: b"1"})
        second.kill()
        third.kill()
        run.until(lambda: isinstance(run.events[-1], Stale), "stale", 30.0)
        assert run.content == {KEY: b"1"}
        second.launch()
        second.wait_healthy()
        run.until_synced()
        assert run.content == {KEY: b"1"}
