"""Two workers with one instance name: whichever lives on is announced."""

from __future__ import annotations

import logging
import threading

import pytest

from discovery.codec import encode
from tests.discovery.test_registration import CHAT, Running, is_there, registration
from tests.support.etcd import EtcdServer, unique_root
from tests.support.waiting import eventually


def test_a_worker_is_announced_again_after_a_second_one_of_its_name_left(
    etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Started by mistake, or a replacement that was given up: the first one lives all the time."""
    caplog.set_level(logging.WARNING, "discovery.registration")
    root = unique_root()
    with Running(registration(etcd_server, root=root)) as first:
        assert first.registration.wait_registered(10)
        key = encode(CHAT, root)[0]
        with Running(registration(etcd_server, root=root)) as second:
            assert second.registration.wait_registered(10)
            eventually(lambda: "another worker has" in caplog.text, what="it is told")
        assert etcd_server.get(key) is None
        eventually(lambda: is_there(etcd_server, CHAT, root), what="announced again")
        assert etcd_server.lease_of(key) == first.registration.status.lease
    assert caplog.text.count("another worker has") == 1


def test_two_living_workers_of_one_name_don_t_fight_over_the_key(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with Running(registration(etcd_server, root=root)) as first:
        assert first.registration.wait_registered(10)
        with Running(registration(etcd_server, root=root)) as second:
            assert second.registration.wait_registered(10)
            key, pause = encode(CHAT, root)[0], threading.Event()
            for _ in range(6):  # twice the lease's two seconds: the later one keeps it
                pause.wait(0.5)
                assert etcd_server.lease_of(key) == second.registration.status.lease


def test_a_worker_that_drains_leaves_the_key_to_its_successor(etcd_server: EtcdServer) -> None:
    """A rolling restart under a fixed ``--instance``, as the worker command does it."""
    root = unique_root()
    key = encode(CHAT, root)[0]
    with Running(registration(etcd_server, root=root)) as old:
        assert old.registration.wait_registered(10)
        with Running(registration(etcd_server, root=root)) as new:
            assert new.registration.wait_registered(10)
            assert old.registration.drain(10)
            assert is_there(etcd_server, CHAT, root)
            old.stop()
            assert is_there(etcd_server, CHAT, root)
            assert etcd_server.lease_of(key) == new.registration.status.lease


def test_a_key_that_an_operator_took_over_and_deleted_stays_deleted(
    etcd_server: EtcdServer,
) -> None:
    root = unique_root()
    key, value = encode(CHAT, root)
    with Running(registration(etcd_server, root=root)) as run:
        assert run.registration.wait_registered(10)
        etcd_server.put(key, value)  # without a lease: by hand
        pause = threading.Event()
        pause.wait(1.5)
        etcd_server.delete(key)
        pause.wait(1.5)  # two keep-alives pass and nothing may happen
        assert etcd_server.get(key) is None
