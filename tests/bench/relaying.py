"""A subject that relays, too: with a real etcd that announces the mock upstream to it."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

from tests.bench.peers.gateways import announce
from tests.bench.peers.process import Mock
from tests.bench.served import Served
from tests.support.chat import wait_for_model
from tests.support.cpu import Cores, on_core
from tests.support.etcd import EtcdServer, unique_root

__all__ = ["relaying", "relaying_with_mock"]


@contextmanager
def relaying_with_mock() -> Generator[tuple[Served, Mock]]:
    """The subject, which serves the mock upstream as the model ``mock``, and the upstream."""
    core, root = Cores.of_this_machine().load, unique_root()
    before = os.sched_getaffinity(0)
    with Mock(core) as mock, on_core(core), EtcdServer() as etcd:
        os.sched_setaffinity(0, before)
        announce(etcd, mock.url, root=root)
        with Served(("--etcd", etcd.endpoint, "--etcd-root", root)) as served:
            host, port = served.ours
            wait_for_model(f"http://{host}:{port}", "mock")
            yield served, mock


@contextmanager
def relaying() -> Generator[Served]:
    """The subject alone."""
    with relaying_with_mock() as (served, _):
        yield served
