"""One real etcd for the whole package; each test uses a key prefix of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.etcd import EtcdServer


@pytest.fixture(scope="session")
def etcd() -> Iterator[EtcdServer]:
    """A real etcd process on loopback."""
    with EtcdServer() as server:
        yield server
