"""The gateways of a run, ours and the floor among them, each as a command line for one upstream."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.bench.peers.cache import Cache
from tests.bench.peers.rivals import RIVALS, Rival
from tests.support.etcd import EtcdServer
from tests.support.waiting import free_port

__all__ = ["FLOOR", "OURS", "Gateway", "Start", "announce", "floor", "ours", "rival"]

FLOOR: Final = "floor"
OURS: Final = "Callboard"

_HERE: Final = Path(__file__).parent
_ROOT: Final = "/bench"


@dataclass(frozen=True, slots=True)
class Start:
    """How to start one: a command line, an environment, and the port that it will listen on."""

    port: int
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway; ``start`` makes a fresh command line each time, with ports of its own."""

    name: str
    version: str
    language: str
    start: Callable[[], Start]


def floor(cache: Cache, upstream_port: int) -> Gateway:
    """The C relay."""
    program = str(cache.compile_floor())

    def start() -> Start:
        port = free_port()
        return Start(port, (program, str(port), str(upstream_port)))

    return Gateway(FLOOR, "-", "C, parses nothing", start)


def rival(cache: Cache, name: str, upstream: str) -> Gateway:
    """A rival of the table, installed if it was not. Raises ``CannotPrepare``."""
    chosen = next(each for each in RIVALS if each.name == name)
    programs = cache.install(chosen)
    return Gateway(
        chosen.name, chosen.version, chosen.language, lambda: _filled(chosen, programs, upstream)
    )


def ours(etcd: EtcdServer) -> Gateway:
    """Callboard, as a user starts it; :func:`announce` tells it of the upstream."""

    def start() -> Start:
        port = free_port()
        serve = ("serve", "--host", "127.0.0.1", "--port", str(port))
        source = ("--etcd", etcd.endpoint, "--etcd-root", _ROOT)
        return Start(port, (sys.executable, "-m", "actors.main", *serve, *source))

    return Gateway(OURS, version("callboard"), "Python", start)


def announce(etcd: EtcdServer, upstream: str, model: str = "mock", root: str = _ROOT) -> None:
    """Put the upstream into etcd, where front-ends on ``root`` find it."""
    entry = {"name": model, "model_type": "chat", "endpoint": {"url": f"{upstream}/v1"}}
    etcd.put(f"{root}/models/chat/{model}", json.dumps(entry))


def _filled(chosen: Rival, programs: Path, upstream: str) -> Start:
    port = free_port()
    values = {
        "python": str(programs / "python"),
        "bin": str(programs),
        "port": str(port),
        "spare": str(free_port()),
        "upstream": upstream,
        "here": str(_HERE),
    }
    return Start(
        port,
        tuple(word.format_map(values) for word in chosen.command),
        {name: value.format_map(values) for name, value in chosen.settings.items()},
    )
