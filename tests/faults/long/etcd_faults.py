"""The faults, each a name and a function that returns when the service is whole again."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from tests.support.etcd import EtcdServer
from tests.support.proxy import TcpProxy

__all__ = ["FAULTS", "Stage"]


@dataclass(frozen=True)
class Stage:
    """What can be broken. ``longest`` bounds an outage, in seconds."""

    etcd: EtcdServer
    proxy: TcpProxy
    rng: random.Random
    longest: float

    def pause(self, least: float, most: float) -> None:
        """Let a random time pass."""
        bound = max(least, min(most, self.longest))
        threading.Event().wait(self.rng.uniform(least, bound))


def _kill(stage: Stage) -> None:
    stage.etcd.kill()
    stage.pause(0.0, 3.0)
    stage.etcd.restart()


def _freeze(stage: Stage) -> None:
    stage.etcd.freeze()
    stage.pause(0.5, 18.0)
    stage.etcd.thaw()


def _cut(stage: Stage) -> None:
    stage.proxy.cut()
    stage.pause(0.1, 5.0)
    stage.proxy.mend()


def _cut_and_compact(stage: Stage) -> None:
    stage.proxy.cut()
    stage.pause(0.1, 2.0)
    stage.etcd.put("/models-not/compacted", "")
    stage.etcd.compact()
    stage.proxy.mend()


def _still(stage: Stage) -> None:
    stage.proxy.freeze()
    stage.pause(0.5, 18.0)
    stage.proxy.thaw()


def _compact(stage: Stage) -> None:
    for number in range(stage.rng.randint(1, 10)):
        # One write more, for the head can't be compacted twice.
        stage.etcd.put("/models-not/compacted", str(number))
        stage.etcd.compact()


FAULTS: Final[Mapping[str, Callable[[Stage], None]]] = MappingProxyType(
    {
        "etcd SIGKILL, restart": _kill,
        "etcd SIGSTOP, SIGCONT": _freeze,
        "network cut": _cut,
        "network cut, compaction": _cut_and_compact,
        "network frozen": _still,
        "compaction at head": _compact,
    }
)
