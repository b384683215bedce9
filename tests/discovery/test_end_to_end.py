"""Worker, etcd, discovery actor and registry together, each real, in supervision trees."""

from __future__ import annotations

import json
import logging
import time
from functools import partial
from typing import Self

import pytest

from actors.engines.contract import Kind
from actors.registry import ListModels, RegistryActor
from actors.supervision import Child, Supervisor, Tree
from actors.supervision.cancellation import CancellationToken
from discovery.actor import discovery_child
from discovery.codec import encode, event_of, prefix_of
from discovery.entry import Entry
from discovery.etcd.access import Endpoints
from discovery.etcd.registration import EtcdRegistration
from discovery.etcd.watch import EtcdSource, WatchTimes
from discovery.loop_actor import registration_child
from discovery.status import StatusBoard
from tests.discovery.fakes import Factory
from tests.support.etcd import EtcdServer, unique_root
from tests.support.waiting import eventually

STOP = 1.0  # seconds; the promise is 0.1 for discovery, the rest is for a busy test machine


class FrontEnd:
    """Registry and discovery in one tree, over an etcd."""

    def __init__(self, server: EtcdServer, root: str = "") -> None:
        self.board = StatusBoard("etcd")
        self.factory = Factory()
        self.tree: Tree = Supervisor.start(
            Child("registry", RegistryActor.start, hand_over=True), intensity=100
        )
        self.registry = self.tree.address("registry")
        source = EtcdSource(
            Endpoints.parse(server.endpoint),
            prefix_of(root),
            read=partial(event_of, root=root),
            times=WatchTimes(rpc=1.0),
        )
        self.tree.start_child(
            discovery_child(source, self.registry, self.factory, board=self.board, close_grace=0.0)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.tree.stop(timeout=10)

    @property
    def models(self) -> list[str]:
        chat = self.registry.ask(ListModels(Kind.CHAT), timeout=5)
        return sorted(chat + self.registry.ask(ListModels(Kind.COMPLETIONS), timeout=5))

    def until(self, *models: str, timeout: float = 15.0) -> float:
        """Wait for exactly these models; how many seconds that took."""
        begin = time.monotonic()
        eventually(lambda: self.models == sorted(models), timeout, f"models {models}")
        return time.monotonic() - begin

    def until_synced(self) -> None:
        eventually(lambda: self.board.status.synced, 15, "synced")

    def until_stale(self) -> None:
        eventually(lambda: not self.board.status.synced, 20, "stale")


def by_hand(name: str) -> str:
    """What an operator types after ``etcdctl put``."""
    endpoint = {"url": "http://127.0.0.1:9/v1"}
    return json.dumps({"name": name, "model_type": "Chat", "endpoint": endpoint})


def entry(name: str = "org/model", instance: str = "w1") -> Entry:
    return Entry(Kind.CHAT, name, "http://127.0.0.1:9/v1", instance=instance)


def test_put_and_delete_by_hand_add_and_remove_a_model(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with FrontEnd(etcd_server, root) as front:
        front.until_synced()
        etcd_server.put(f"{root}/models/chat/org/m", by_hand("org/m"))
        assert front.until("org/m") < 5
        etcd_server.put(f"{root}/models/chat/other", "garbage")
        etcd_server.put(f"{root}/models/chat/org/m", "garbage")
        etcd_server.put(f"{root}/nothing/of/ours", "garbage")
        etcd_server.put(f"{root}/models/chat/last", by_hand("last"))
        front.until("org/m", "last")
        eventually(lambda: front.board.status.quarantined_count == 2)
        etcd_server.delete(f"{root}/models/chat/org/m")
        etcd_server.delete(f"{root}/models/chat/never-there")
        front.until("last")
        eventually(lambda: front.board.status.quarantined_count == 1)


def test_an_etcd_that_is_down_at_the_start_is_waited_for(server: EtcdServer) -> None:
    server.put("/models/chat/m", by_hand("m"))
    server.kill()
    with FrontEnd(server) as front:
        eventually(lambda: front.board.status.last_error == "etcd can't be reached")
        assert not front.board.status.synced_once
        assert front.models == []
        server.restart()
        front.until("m")
        front.until_synced()
        assert front.board.status.last_error is None


def test_a_killed_etcd_keeps_the_models_and_is_caught_up_with(server: EtcdServer) -> None:
    server.put("/models/chat/old", by_hand("old"))
    with FrontEnd(server) as front:
        front.until("old")
        server.kill()
        front.until_stale()
        assert front.models == ["old"]
        assert front.board.status.stale_since is not None
        server.restart()
        server.delete("/models/chat/old")
        server.put("/models/chat/new", by_hand("new"))
        front.until("new")


def test_a_compaction_while_etcd_was_away_changes_nothing(server: EtcdServer) -> None:
    server.put("/models/chat/a", by_hand("a"))
    server.put("/models/chat/b", by_hand("b"))
    with FrontEnd(server) as front:
        front.until("a", "b")
        server.kill()
        front.until_stale()
        server.restart()
        server.delete("/models/chat/a")
        server.put("/models/chat/c", by_hand("c"))
        server.compact()
        front.until("b", "c")


def test_a_lost_data_directory_removes_what_is_gone(server: EtcdServer) -> None:
    server.put("/models/chat/a", by_hand("a"))
    with FrontEnd(server) as front:
        front.until("a")
        server.kill()
        server.wipe()
        server.restart()
        front.until(timeout=30.0)


def test_a_front_end_stops_at_once_while_etcd_is_frozen(server: EtcdServer) -> None:
    with FrontEnd(server) as front:
        front.until_synced()
        server.freeze()
        begin = time.monotonic()
        front.tree.stop(timeout=10)
        assert time.monotonic() - begin < STOP


def test_a_worker_registers_and_two_front_ends_see_it_come_and_go(etcd_server: EtcdServer) -> None:
    root = unique_root()
    endpoints = Endpoints.parse(etcd_server.endpoint)
    with FrontEnd(etcd_server, root) as first, FrontEnd(etcd_server, root) as second:
        first.until_synced()
        second.until_synced()
        worker = Supervisor.start(
            registration_child(EtcdRegistration(endpoints, [entry()], root=root, ttl=60))
        )
        for front in (first, second):
            assert front.until("org/model") < 5
        worker.stop(timeout=10)
        for front in (first, second):
            assert front.until() < 5


def test_a_worker_that_dies_without_a_word_leaves_within_ttl_and_a_second(
    etcd_server: EtcdServer,
) -> None:
    root = unique_root()
    key, value = encode(entry(), root)
    with FrontEnd(etcd_server, root) as front:
        front.until_synced()
        etcd_server.put(key, value, lease=etcd_server.grant(2))
        front.until("org/model")
        assert front.until() < 3.5


def test_one_of_two_instances_leaves_and_the_model_stays(etcd_server: EtcdServer) -> None:
    root = unique_root()
    one, two = (encode(entry(instance=name), root) for name in ("w1", "w2"))
    with FrontEnd(etcd_server, root) as front:
        etcd_server.put(*one)
        etcd_server.put(*two)
        eventually(lambda: front.board.status.entries == 2)
        etcd_server.delete(one[0])
        eventually(lambda: front.board.status.entries == 1)
        assert front.models == ["org/model"]
        etcd_server.delete(two[0])
        front.until()


def test_a_crashed_discovery_actor_finds_what_changed_meanwhile(
    etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    root = unique_root()
    with FrontEnd(etcd_server, root) as front:
        etcd_server.put(f"{root}/models/chat/a", by_hand("a"))
        etcd_server.put(f"{root}/models/chat/b", by_hand("b"))
        front.until("a", "b")
        front.tree.address("discovery").tell("poison")
        etcd_server.delete(f"{root}/models/chat/a")
        front.until("b")
        front.until_synced()
        assert len(front.factory.made) <= 2, "engines are kept over a crash"


def test_a_crashed_registry_loses_no_model(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with FrontEnd(etcd_server, root) as front:
        etcd_server.put(f"{root}/models/chat/a", by_hand("a"))
        front.until("a")
        epoch = front.registry.epoch
        front.registry.tell("poison")
        eventually(lambda: front.registry.epoch > epoch)
        assert front.models == ["a"]
        etcd_server.put(f"{root}/models/chat/b", by_hand("b"))
        front.until("a", "b")


def test_a_crashed_registration_announces_again(etcd_server: EtcdServer) -> None:
    root = unique_root()

    class Crashing(EtcdRegistration):
        runs = 0

        def run(self, token: CancellationToken) -> None:
            self.runs += 1
            if self.runs == 1:
                raise RuntimeError("a bug in the loop")
            super().run(token)

    registration = Crashing(Endpoints.parse(etcd_server.endpoint), [entry()], root=root)
    worker = Supervisor.start(registration_child(registration), intensity=10)
    try:
        assert registration.wait_registered(10)
        key, value = encode(entry(), root)
        assert etcd_server.get(key) == value
    finally:
        worker.stop(timeout=10)
    assert etcd_server.get(key) is None
