"""Where an attack takes place: a gateway of any checkout on one core, all else on the other."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any, Final, Self

from tests.support.child import Child
from tests.support.cpu import Cores, on_core
from tests.support.waiting import eventually, free_port

__all__ = ["EXIT_LIMIT", "KEY", "Ground", "peak_mib", "serve"]

KEY: Final = "sk-attacked"
EXIT_LIMIT: Final = 60.0
"""Seconds after SIGTERM that count as never."""
START: Final = 90.0
STOP: Final = 30.0


class Ground:
    """``serve`` of the checkout at ``root`` with a folder of entries; a context manager.

    With ``keyed`` it wants :data:`KEY`. With ``stuck`` nobody reads its standard error.
    """

    def __init__(self, root: Path, *, keyed: bool = False, stuck: bool = False) -> None:
        self.root, self.keyed, self.stuck = root.resolve(), keyed, stuck
        self.address: tuple[str, int] = ("127.0.0.1", free_port())
        self.url: Final = f"http://127.0.0.1:{self.address[1]}"
        self._stack: Final = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            (self._folder / "models").mkdir()
            upstreams = self._stack.enter_context(_child("attack_upstreams"))
            self.ports: dict[str, int] = upstreams.greeting
            self.announce("well", [self.entry("innocent", "well")])
            self.process = self._start()
            eventually(lambda: "innocent" in self.models(), START, "the gateway serves")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(STOP)
        if self.process.stderr is not None:
            self.process.stderr.close()
        self._stack.close()

    def upstream(self, name: str, host: str = "127.0.0.1") -> str:
        """The URL of one of the upstreams."""
        return f"http://{host}:{self.ports[name]}/v1"

    def entry(self, model: str, name: str, instance: str = "", url: str = "") -> dict[str, Any]:
        """An entry of ``model`` at the upstream ``name``, or at ``url``."""
        entry: dict[str, Any] = {
            "name": model,
            "model_type": "chat",
            "endpoint": {"url": url or self.upstream(name)},
        }
        return {**entry, "instance": instance} if instance else entry

    def announce(self, name: str, entries: Iterable[dict[str, Any]]) -> None:
        """Put a file of entries into the folder, whole."""
        draft = self._folder / f"{name}.draft"
        draft.write_text(json.dumps(list(entries)))
        draft.rename(self._folder / "models" / f"{name}.json")

    def get(self, path: str, timeout: float = 60.0) -> str:
        """The body of a GET with the key."""
        request = urllib.request.Request(f"{self.url}{path}", headers=self.headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            body: bytes = answer.read()
            return body.decode()

    @property
    def headers(self) -> dict[str, str]:
        """The key's header, where one is wanted."""
        return {"Authorization": f"Bearer {KEY}"} if self.keyed else {}

    def models(self) -> set[str]:
        """The models that are listed; none while nothing answers."""
        with suppress(OSError):
            return {each["id"] for each in json.loads(self.get("/v1/models"))["data"]}
        return set()

    def ejections(self) -> float:
        """How many instances were ejected so far."""
        samples = re.findall(
            r"^\w+pool_ejections_total\{.*\} (\S+)$", self.get("/metrics"), re.MULTILINE
        )
        return sum(map(float, samples))

    def probe(self) -> Child:
        """The measuring process, begun."""
        words = (self.address[0], str(self.address[1]), KEY if self.keyed else "")
        return self._stack.enter_context(_child("attack_probe", *words))

    def terminate(self) -> float:
        """SIGTERM; the seconds to its end, infinite for more than :data:`EXIT_LIMIT`."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(EXIT_LIMIT)
        except subprocess.TimeoutExpired:
            return float("inf")
        return time.monotonic() - begun

    def _start(self) -> subprocess.Popen[bytes]:
        words = ["--host", "127.0.0.1", "--port", str(self.address[1])]
        words += ["--discovery-dir", str(self._folder / "models")]
        if self.keyed:
            keys = self._folder / "keys"
            keys.write_text(f"{KEY}\n")
            words += ["--api-key-file", str(keys)]
        if self.stuck:
            return serve(self.root, words, subprocess.PIPE)
        return serve(self.root, words, self._stack.enter_context((self._folder / "log").open("wb")))


def _child(module: str, *words: str) -> Child:
    return Child(f"tests.faults.long.{module}", *words, core=Cores.of_this_machine().load)


def serve(root: Path, words: Sequence[str], log: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """``serve`` of the checkout at ``root``, on the gateway's core, with its own Python if it has
    one."""
    python = root / ".venv" / "bin" / "python"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CALLBOARD_")}
    paths = os.pathsep.join((str(root), str(root / "http")))
    with on_core(Cores.of_this_machine().subject):
        return subprocess.Popen(
            [
                str(python if python.exists() else sys.executable),
                "-m",
                "actors.main",
                "serve",
                *words,
            ],
            cwd=root,
            env={**environment, "PYTHONPATH": paths, "CALLBOARD_CONSOLE": "off"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
        )


def peak_mib(pid: int) -> float:
    """The largest resident memory that the process ever had (VmHWM), in MiB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return float(found[1]) / 1024
