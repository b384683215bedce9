"""etcd put back from a backup, a member removed, a burst, a worker that slept: all settle right."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from actors.engines.contract import Kind
from discovery.codec import encode, key_for
from discovery.etcd.access import Endpoint, Endpoints
from discovery.etcd.client import EtcdClient
from discovery.etcd.watch import EtcdSource, WatchTimes
from tests.discovery.recorder import Recorder, raw
from tests.discovery.test_end_to_end import FrontEnd, entry
from tests.discovery.test_registration import Running, registration
from tests.support.callboard import Callboard
from tests.support.etcd import EtcdCluster, EtcdServer, etcdctl_binary, unique_root
from tests.support.waiting import eventually

A, B, C = b"/models/chat/a", b"/models/chat/b", b"/models/chat/c"


def etcdctl(server: EtcdServer, *words: str) -> str:
    command = [etcdctl_binary(), "--endpoints", server.endpoint, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout


def removed(server: EtcdServer, member: int) -> bool:
    """Whether etcd took the member out; it refuses in the first seconds of a cluster's life."""
    try:
        etcdctl(server, "member", "remove", f"{member:x}")
    except subprocess.CalledProcessError:
        return False
    return True


def restore(server: EtcdServer, backup: Path) -> None:
    """Kill the server and start it again with the content of ``backup``."""
    server.kill()
    data = server._data  # pyright: ignore[reportPrivateUsage]  # its own wipe() names no folder
    shutil.rmtree(data)
    options = {
        "--data-dir": str(data),
        "--name": "test",
        "--initial-cluster": f"test={server.peer_url}",
        "--initial-advertise-peer-urls": server.peer_url,
    }
    flags = [word for option in options.items() for word in option]
    etcdctl(server, "snapshot", "restore", str(backup), *flags)
    server.restart()


@pytest.mark.timeout(120)
def test_a_restored_backup_brings_its_entries_back_and_drops_later_ones_with_patience(
    server: EtcdServer, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    worker = entry()
    key, value = encode(worker)
    with Running(registration(server, worker)) as run:
        assert run.registration.wait_registered(10)
        server.put(A, "kept")
        server.put(B, "old")
        etcdctl(server, "snapshot", "save", str(backup))
        server.put(B, "new")
        server.put(C, "later")
        source = EtcdSource(
            Endpoints.parse(server.endpoint),
            b"/models/",
            read=raw,
            times=WatchTimes(history_loss_grace=4.0),
        )
        with Recorder(source) as seen:
            seen.until_content({A: b"kept", B: b"new", C: b"later", key: value})
            restore(server, backup)
            seen.until_content({A: b"kept", B: b"old", key: value})
            assert run.registration.wait_registered(20)
            server.put(C, "anew")
            seen.until_content({A: b"kept", B: b"old", C: b"anew", key: value})


def test_a_worker_that_was_stopped_for_longer_than_its_lease_is_announced_again(
    etcd_server: EtcdServer,
) -> None:
    root = unique_root()
    where = ("--etcd", etcd_server.endpoint, "--etcd-root", root, "--ttl", "2", "--drain", "0")
    what = ("--model", "m", "--type", "chat", "--url", "http://127.0.0.1:9/v1", "--instance", "w")
    key = key_for(Kind.CHAT, "m", "w", root)
    options = (*where, *what, "--announce", "at-once")
    with FrontEnd(etcd_server, root) as front, Callboard("worker", *options) as it:
        it.wait_for("announced")
        front.until("m")
        it.signal(signal.SIGSTOP)
        try:
            front.until()
            assert etcd_server.get(key) is None
        finally:
            it.signal(signal.SIGCONT)
        front.until("m")
        assert etcd_server.lease_of(key)


@pytest.mark.timeout(180)
def test_twenty_thousand_changes_and_compactions_in_a_burst_end_as_etcd_does(
    etcd_server: EtcdServer,
) -> None:
    root = unique_root().encode()
    source = EtcdSource(Endpoints.parse(etcd_server.endpoint), root, read=raw)
    client = EtcdClient(Endpoint("127.0.0.1", etcd_server.port))
    try:
        with Recorder(source) as run:
            run.until_synced()
            for turn in range(200):
                keys = [root + b"/%d" % ((turn * 100 + at) % 5000) for at in range(100)]
                client.put_together(dict.fromkeys(keys, b"%d" % turn))
                if turn % 20 == 10:
                    client.delete(keys[0])
                    etcd_server.compact()
            there = client.snapshot(root).entries
            run.until_content({key: record.value for key, record in there.items()})
    finally:
        client.close()


@pytest.mark.timeout(120)
def test_a_removed_member_is_left_by_front_end_and_worker() -> None:
    with EtcdCluster() as cluster:
        first, second, _ = cluster.members
        endpoints = Endpoints.parse(cluster.endpoints)
        source = EtcdSource(endpoints, b"/models/", read=raw, times=WatchTimes(rpc=1.0))
        with Recorder(source) as run:
            run.until_synced()
            members = json.loads(etcdctl(second, "member", "list", "-w", "json"))["members"]
            gone = next(each for each in members if each["name"] == "m0")
            eventually(lambda: removed(second, gone["ID"]), 30, "etcd lets it go")
            eventually(second.healthy, 60, "it may have been the leader")
            second.put(A, "1")
            run.until_content({A: b"1"})
            eventually(lambda: not first.healthy(), 30, "the removed member is out")
            second.put(A, "2")
            run.until_content({A: b"2"})
