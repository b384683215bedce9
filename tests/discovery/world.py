"""A tree with one discovery actor over the in-memory source, and everything around it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from actors.supervision import Supervisor, Tree
from discovery.actor import discovery_child
from discovery.source import Source
from discovery.status import DiscoveryStatus, StatusBoard
from tests.discovery.fakes import Factory, FakeRegistry
from tests.discovery.key_values import KeyValueSource
from tests.support.waiting import eventually

__all__ = ["A", "B", "World", "value"]

A, B = b"/models/chat/a", b"/models/completions/b#1"


def value(name: str, model_type: str = "chat", port: int = 1) -> bytes:
    endpoint = {"url": f"http://127.0.0.1:{port}/v1"}
    return json.dumps({"name": name, "model_type": model_type, "endpoint": endpoint}).encode()


class World:
    """A tree with one discovery actor, and everything around it."""

    def __init__(self) -> None:
        self.memory = KeyValueSource()
        self.registry = FakeRegistry()
        self.factory = Factory()
        self.board = StatusBoard("memory")
        self.tree: Tree | None = None

    def start(self, source: Source | None = None) -> None:
        child = discovery_child(
            source or self.memory,
            self.registry,
            self.factory,
            board=self.board,
            close_grace=0.0,
        )
        self.tree = Supervisor.start(child, intensity=100)
        pending = {"not started", "starting"}
        eventually(lambda: self.status.last_error not in pending, 60, "the first word")

    def stop(self) -> float:
        begin = time.monotonic()
        if self.tree is not None:
            self.tree.stop(timeout=10)
            self.tree = None
        return time.monotonic() - begin

    def crash(self) -> None:
        """Send a message that the actor does not know."""
        assert self.tree is not None
        address = self.tree.address("discovery")
        epoch = address.epoch
        address.tell("poison")
        eventually(lambda: address.epoch > epoch, what="restarted")

    @property
    def status(self) -> DiscoveryStatus:
        return self.board.status

    def until(self, *names: str) -> None:
        eventually(lambda: self.registry.names == set(names), what=f"registry holds {names}")

    def until_synced(self) -> None:
        eventually(lambda: self.status.synced, what="synced")

    def until_status(self, check: Callable[[DiscoveryStatus], object]) -> None:
        eventually(lambda: check(self.status), what="status")
