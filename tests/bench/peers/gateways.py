"""The gateways of a run, ours and both floors among them: command lines for one upstream."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.bench.peers.cache import Cache, CannotPrepare
from tests.bench.peers.rivals import RIVALS, Rival
from tests.support.etcd import EtcdServer
from tests.support.waiting import free_port

__all__ = [
    "FLOOR", "OURS", "PROXIES", "PYTHON_FLOOR", "Gateway", "Start",
    "announce", "checkout", "floor", "ours", "proxy", "python_floor", "rival",
]  # fmt: skip

FLOOR: Final = "floor in C"
PYTHON_FLOOR: Final = "floor in Python"
OURS: Final = "Callboard"

_HERE: Final = Path(__file__).parent
_REPOSITORY: Final = _HERE.parents[2]
_ROOT: Final = "/bench"

PROXIES: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "nginx": ("nginx.conf", ("{program}", "-p", "{folder}", "-e", "stderr", "-c", "{config}")),
    "HAProxy": ("haproxy.cfg", ("{program}", "-q", "-f", "{config}")),
}
"""General proxies, which know nothing of models: a configuration and a command line for each."""


@dataclass(frozen=True, slots=True)
class Start:
    """How to start one: a command line, an environment, and the port that it will listen on."""

    port: int
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    folder: Path = _REPOSITORY


@dataclass(frozen=True, slots=True)
class Gateway:
    """One gateway; ``start`` makes a fresh command line each time, with ports of its own.

    ``echo``: it also serves the model ``echo`` in its own process, as only ours does.
    """

    name: str
    version: str
    language: str
    start: Callable[[], Start]
    echo: bool = False


def floor(cache: Cache, upstream_port: int) -> Gateway:
    """The relay in C."""
    program = str(cache.compile_floor())

    def start() -> Start:
        port = free_port()
        return Start(port, (program, str(port), str(upstream_port)))

    return Gateway(FLOOR, "-", "C, parses nothing", start)


def python_floor(upstream_port: int) -> Gateway:
    """The relay in one Python file: the steps of a gateway and nothing else."""

    def start() -> Start:
        port = free_port()
        return Start(port, (sys.executable, str(_HERE / "floor.py"), str(port), str(upstream_port)))

    return Gateway(PYTHON_FLOOR, "-", "Python, one file", start)


def rival(cache: Cache, name: str, upstream: str) -> Gateway:
    """A rival of the table, installed if it was not. Raises ``CannotPrepare``."""
    chosen = next(each for each in RIVALS if each.name == name)
    programs = cache.install(chosen)
    return Gateway(
        chosen.name, chosen.version, chosen.language, lambda: _filled(chosen, programs, upstream)
    )


def proxy(name: str, upstream: str, folder: Path) -> Gateway:
    """A general proxy of the system, with its files in ``folder``.

    Raises ``CannotPrepare`` where it is not installed.
    """
    program = shutil.which(name.lower()) or shutil.which(name.lower(), path="/usr/sbin")
    if program is None:
        raise CannotPrepare(f"{name} is not installed: apt-get install {name.lower()}")
    template, command = PROXIES[name]

    def start() -> Start:
        port, config = free_port(), folder / template
        authority = upstream.removeprefix("http://")
        text = (_HERE / template).read_text()
        config.write_text(text.format(port=port, authority=authority, folder=folder))
        values = {"program": program, "folder": str(folder), "config": str(config)}
        return Start(port, tuple(word.format_map(values) for word in command))

    return Gateway(name, "-", "C, knows no models", start)


def ours(etcd: EtcdServer) -> Gateway:
    """Callboard, as a user starts it; :func:`announce` tells it of the upstream."""
    return _callboard(OURS, version("callboard"), etcd, sys.executable, _REPOSITORY)


def checkout(folder: Path, etcd: EtcdServer) -> Gateway:
    """Callboard as it is in another checkout, with that one's environment.

    Raises ``CannotPrepare`` where it has none.
    """
    python = folder / ".venv" / "bin" / "python"
    if not python.exists():
        raise CannotPrepare(f"{folder} has no environment: run `make .venv/.ready` there")
    return _callboard(f"{OURS} in {folder.name}", "-", etcd, str(python), folder)


def announce(etcd: EtcdServer, upstream: str, model: str = "mock", root: str = _ROOT) -> None:
    """Put the upstream into etcd, where front-ends on ``root`` find it."""
    entry = {"name": model, "model_type": "chat", "endpoint": {"url": f"{upstream}/v1"}}
    etcd.put(f"{root}/models/chat/{model}", json.dumps(entry))


def _callboard(name: str, release: str, etcd: EtcdServer, python: str, folder: Path) -> Gateway:
    def start() -> Start:
        port = free_port()
        where = ("--host", "127.0.0.1", "--port", str(port), "--console", "off")
        serve = ("serve", *where, "--engine", "echo=echo")
        source = ("--etcd", etcd.endpoint, "--etcd-root", _ROOT)
        return Start(port, (python, "-m", "actors.main", *serve, *source), folder=folder)

    return Gateway(name, release, "Python", start, echo=True)


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
