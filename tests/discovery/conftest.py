"""Fixtures of the discovery tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.discovery.world import World
from tests.support.etcd import EtcdServer, etcd_server

__all__ = ["etcd_server", "server", "world"]


@pytest.fixture
def server() -> Iterator[EtcdServer]:
    """An etcd of the test's own, to kill, freeze and wipe."""
    with EtcdServer() as started:
        yield started


@pytest.fixture
def world() -> Iterator[World]:
    """A discovery actor over the in-memory source; the test starts it."""
    made = World()
    yield made
    made.stop()
