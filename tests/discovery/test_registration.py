"""A worker's registration against a real etcd: announced while it lives, whatever etcd does."""

from __future__ import annotations

import logging
import threading
import time
from types import TracebackType
from typing import Self

import pytest

from actors.engines.contract import Kind
from actors.supervision.cancellation import CancellationToken
from discovery.codec import decode, encode
from discovery.entry import Entry
from discovery.etcd.access import Endpoint, Endpoints
from discovery.etcd.client import EtcdClient
from discovery.etcd.records import EtcdUnavailable
from discovery.etcd.registration import EtcdRegistration
from tests.support.etcd import EtcdServer, unique_root
from tests.support.waiting import eventually, free_port

URL = "http://127.0.0.1:8000/v1"
CHAT = Entry(Kind.CHAT, "org/model", URL, instance="w1")
COMPLETIONS = Entry(Kind.COMPLETIONS, "org/model", URL, instance="w1")
STOP = 2.0  # seconds; the promise is one second for the goodbye, and a little


class Running:
    """Runs a registration on a thread."""

    def __init__(self, registration: EtcdRegistration) -> None:
        self.registration = registration
        self.token = CancellationToken()
        self._thread = threading.Thread(target=registration.run, args=(self.token,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> float:
        begin = time.monotonic()
        self.token.cancel()
        self._thread.join(20)
        assert not self._thread.is_alive(), "the registration did not stop"
        return time.monotonic() - begin


def registration(
    server: EtcdServer, *entries: Entry, root: str = "", ttl: int = 2
) -> EtcdRegistration:
    return EtcdRegistration(
        Endpoints.parse(server.endpoint), entries or (CHAT,), root=root, ttl=ttl
    )


def is_there(server: EtcdServer, entry: Entry, root: str = "") -> bool:
    key, value = encode(entry, root)
    return server.get(key) == value


def test_all_entries_stand_in_etcd_under_one_lease(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with Running(registration(etcd_server, CHAT, COMPLETIONS, root=root)) as run:
        assert run.registration.wait_registered(10)
        assert is_there(etcd_server, CHAT, root)
        assert is_there(etcd_server, COMPLETIONS, root)
        leases = {etcd_server.lease_of(encode(entry, root)[0]) for entry in (CHAT, COMPLETIONS)}
        assert leases == {run.registration.status.lease}


def test_a_stop_withdraws_the_entries_at_once(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with Running(registration(etcd_server, root=root, ttl=60)) as run:
        assert run.registration.wait_registered(10)
        lease = run.registration.status.lease
        assert run.stop() < STOP
    assert not is_there(etcd_server, CHAT, root)
    assert lease not in etcd_server.leases()
    assert not run.registration.status.registered


def test_the_lease_is_kept_alive_beyond_its_time(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with Running(registration(etcd_server, root=root)) as run:
        assert run.registration.wait_registered(10)
        key, lease = encode(CHAT, root)[0], run.registration.status.lease
        pause = threading.Event()
        for _ in range(8):  # twice the lease's two seconds: time has to pass, nothing happens
            pause.wait(0.5)
            assert etcd_server.lease_of(key) == lease


def test_a_revoked_lease_is_replaced_and_the_entries_come_back(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with Running(registration(etcd_server, CHAT, COMPLETIONS, root=root)) as run:
        assert run.registration.wait_registered(10)
        first = run.registration.status.lease
        assert first is not None
        etcd_server.revoke(first)
        assert not is_there(etcd_server, CHAT, root)
        eventually(lambda: is_there(etcd_server, CHAT, root), what="announced again")
        eventually(lambda: is_there(etcd_server, COMPLETIONS, root), what="announced again")
        eventually(lambda: run.registration.status.lease not in {None, first})


def test_a_key_deleted_by_hand_stays_deleted_until_the_next_lease(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with Running(registration(etcd_server, root=root)) as run:
        assert run.registration.wait_registered(10)
        lease = run.registration.status.lease
        assert lease is not None
        etcd_server.delete(encode(CHAT, root)[0])
        threading.Event().wait(1.5)  # two keep-alives pass and nothing may happen
        assert not is_there(etcd_server, CHAT, root)
        etcd_server.revoke(lease)
        eventually(lambda: is_there(etcd_server, CHAT, root), what="announced again")


def test_it_registers_when_etcd_comes_later(
    server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "discovery.registration")
    server.kill()
    with Running(registration(server)) as run:
        eventually(lambda: run.registration.status.last_error == "etcd can't be reached")
        assert not run.registration.wait_registered(0.5)
        server.restart()
        assert run.registration.wait_registered(10)
        assert is_there(server, CHAT)
    troubles = [record.args for record in caplog.records if record.levelname == "WARNING"]
    summaries = {str(args).partition(":")[0] for args in troubles}
    assert len(summaries) == len(troubles), "each kind of trouble is logged once"
    assert [r.getMessage() for r in caplog.records if r.levelname == "INFO"] == [
        "registered in etcd",
        "withdrawn from etcd",
    ]


def test_it_survives_a_restart_of_etcd(server: EtcdServer) -> None:
    with Running(registration(server, ttl=3)) as run:
        assert run.registration.wait_registered(10)
        server.kill()
        eventually(lambda: not run.registration.status.registered)
        server.restart()
        assert run.registration.wait_registered(10)
        assert is_there(server, CHAT)


def test_it_survives_the_loss_of_etcds_data(server: EtcdServer) -> None:
    with Running(registration(server)) as run:
        assert run.registration.wait_registered(10)
        server.kill()
        server.wipe()
        server.restart()
        eventually(lambda: is_there(server, CHAT), what="announced again")


def test_it_survives_a_frozen_etcd(server: EtcdServer) -> None:
    with Running(registration(server)) as run:
        assert run.registration.wait_registered(10)
        server.freeze()
        eventually(lambda: not run.registration.status.registered)
        server.thaw()
        eventually(lambda: run.registration.status.registered)
        eventually(lambda: is_there(server, CHAT), what="announced again")


def test_a_stop_is_quick_while_etcd_is_frozen_and_the_lease_then_expires(
    server: EtcdServer,
) -> None:
    with Running(registration(server)) as run:
        assert run.registration.wait_registered(10)
        server.freeze()
        assert run.stop() < STOP
    server.thaw()
    eventually(lambda: not is_there(server, CHAT), what="expired")


def test_a_stop_is_quick_while_etcd_is_away(server: EtcdServer) -> None:
    server.kill()
    with Running(registration(server)) as run:
        eventually(lambda: run.registration.status.last_error == "etcd can't be reached")
        assert run.stop() < STOP


def state_of(server: EtcdServer, entry: Entry, root: str) -> str | None:
    key, _ = encode(entry, root)
    found = decode(key, server.get(key) or b"", root)
    return found.state if isinstance(found, Entry) else None


def test_a_drain_marks_every_entry_under_the_same_lease_and_a_stop_withdraws_them(
    etcd_server: EtcdServer,
) -> None:
    root = unique_root()
    with Running(registration(etcd_server, CHAT, COMPLETIONS, root=root, ttl=60)) as run:
        assert run.registration.wait_registered(10)
        lease = run.registration.status.lease
        assert run.registration.drain(10)
        for each in (CHAT, COMPLETIONS):
            assert state_of(etcd_server, each, root) == "draining"
            assert etcd_server.lease_of(encode(each, root)[0]) == lease
        assert run.registration.status.draining
        assert run.registration.drain(0), "a second drain has nothing to wait for"
        run.stop()
    assert not etcd_server.get(encode(CHAT, root)[0])


def test_a_drain_survives_the_loss_of_the_lease(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with Running(registration(etcd_server, root=root)) as run:
        assert run.registration.wait_registered(10)
        assert run.registration.drain(10)
        lease = run.registration.status.lease
        assert lease is not None
        etcd_server.revoke(lease)
        eventually(lambda: state_of(etcd_server, CHAT, root) == "draining", what="marked again")


def test_a_drain_while_etcd_is_away_ends_with_its_deadline_and_is_made_up_for(
    server: EtcdServer,
) -> None:
    with Running(registration(server)) as run:
        assert run.registration.wait_registered(10)
        server.kill()
        begin = time.monotonic()
        assert not run.registration.drain(0.3)
        assert time.monotonic() - begin < 2
        server.restart()
        eventually(lambda: state_of(server, CHAT, "") == "draining", what="marked later")


def test_a_worker_that_drains_before_it_was_ever_announced_comes_as_draining(
    server: EtcdServer,
) -> None:
    server.kill()
    with Running(registration(server)) as run:
        assert not run.registration.drain(0.1)
        server.restart()
        eventually(lambda: state_of(server, CHAT, "") == "draining", what="marked")


def test_a_lost_answer_halfway_leaves_no_half_registration(etcd_server: EtcdServer) -> None:
    """The second put fails once; the same lease then carries both entries."""
    root = unique_root()
    puts: list[bytes] = []

    class Flaky(EtcdClient):
        def __init__(self, endpoint: Endpoint) -> None:
            super().__init__(endpoint)

        def put(self, key: bytes, value: bytes, *, lease: int = 0, timeout: float = 3.0) -> None:
            puts.append(key)
            if len(puts) == 2:
                raise EtcdUnavailable("etcd can't be reached")
            super().put(key, value, lease=lease, timeout=timeout)

    flaky = EtcdRegistration(
        Endpoints.parse(etcd_server.endpoint), (CHAT, COMPLETIONS), root=root, connect=Flaky
    )
    with Running(flaky) as run:
        assert run.registration.wait_registered(10)
        assert is_there(etcd_server, CHAT, root)
        assert is_there(etcd_server, COMPLETIONS, root)
    assert len(puts) == 4
    assert not is_there(etcd_server, CHAT, root)


def test_another_member_is_tried(etcd_server: EtcdServer) -> None:
    members = Endpoints.parse(f"127.0.0.1:{free_port()},{etcd_server.endpoint}")
    root = unique_root()
    with Running(EtcdRegistration(members, (CHAT,), root=root)) as run:
        assert run.registration.wait_registered(10)
        assert is_there(etcd_server, CHAT, root)


def test_a_successor_keeps_the_key_when_the_predecessor_leaves(etcd_server: EtcdServer) -> None:
    """A rolling restart under the same instance name: revoking the old lease harms nobody."""
    root = unique_root()
    with Running(registration(etcd_server, root=root)) as old:
        assert old.registration.wait_registered(10)
        with Running(registration(etcd_server, root=root)) as new:
            assert new.registration.wait_registered(10)
            old.stop()
            assert is_there(etcd_server, CHAT, root)


def test_nonsense_is_refused_when_built() -> None:
    endpoints = Endpoints.parse("h:1")
    with pytest.raises(ValueError, match="at least one entry"):
        EtcdRegistration(endpoints, ())
    with pytest.raises(ValueError, match="its own model, type or instance"):
        EtcdRegistration(endpoints, (CHAT, CHAT))
    with pytest.raises(ValueError, match="too short"):
        EtcdRegistration(endpoints, (CHAT,), ttl=1)
