"""Twenty rolling restarts of two front-ends behind nginx, then behind HAProxy: nobody notices.

Twelve clients that keep their connections ask all the while; one front-end after the other gets
SIGTERM, ends, starts again, and is ready before the next one's turn. Both proxies are Debian's.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.long.attack_ground import serve
from tests.faults.long.attack_probe import PATIENCE, answer, requests_of
from tests.faults.long.report import Report, Settings, Unavailable
from tests.faults.long.upstreams import Upstreams
from tests.support.stats import quantile
from tests.support.waiting import eventually, free_port

__all__ = ["PROXIES", "Row", "Tally", "run", "table"]

PROXIES: Final = {"nginx": ("nginx.conf", "-c"), "haproxy": ("haproxy.cfg", "-f")}
"""The ending of its configuration beside this file, and the option that takes it."""
RESTARTS: Final = 20
REQUESTS: Final = 50_000
CLIENTS: Final = 12
READY: Final = 60.0
EXIT: Final = 60.0
REST: Final = 3.0
"""Seconds between two restarts: longer than a proxy leaves out whom it could not reach."""
MOST: Final = 1800.0
"""Seconds for all requests."""


@dataclass
class Tally:
    """What became of the requests of one client; its thread alone writes it."""

    took: list[float] = field(default_factory=list[float])
    failed: Counter[str] = field(default_factory=Counter[str])

    def note(self, outcome: str, seconds: float) -> None:
        """One more request; ``outcome`` is ``status 200`` for a good one."""
        self.took.append(seconds)
        if outcome != "status 200":
            self.failed[outcome] += 1


@dataclass(frozen=True, slots=True)
class Row:
    """What twenty restarts of one checkout behind one proxy did."""

    proxy: str
    label: str
    restarts: int
    tallies: Sequence[Tally]
    seconds: float
    exits: Sequence[float]

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(len(each.took) for each in self.tallies)

    @property
    def failed(self) -> Counter[str]:
        """How they failed, and how often."""
        return sum((each.failed for each in self.tallies), Counter[str]())


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| proxy | code | restarts | requests | failed | how | p99, ms | slowest exit, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        took = [each for tally in row.tallies for each in tally.took]
        how = ", ".join(f"{count} x {name}" for name, count in row.failed.most_common())
        cells = [
            row.proxy,
            row.label,
            f"{row.restarts}",
            f"{row.requests:,}",
            f"{row.failed.total()}",
            how or "-",
            f"{quantile(took, 0.99) * 1000:,.0f}",
            f"{max(row.exits, default=0.0):.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


class Client:
    """Asks over one kept connection until told to stop; whatever is not a good 200 has failed."""

    def __init__(self, address: tuple[str, int], over: threading.Event) -> None:
        self.tally: Final = Tally()
        self._address, self._over = address, over
        self._request: Final = requests_of(address[0], "", "mock")["chat"]
        self._sock: socket.socket | None = None
        self.thread: Final = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._over.is_set():
            begun = time.monotonic()
            outcome = self._ask()
            self.tally.note(outcome, time.monotonic() - begun)
        self._drop()

    def _ask(self) -> str:
        try:
            if self._sock is None:
                self._sock = socket.create_connection(self._address, PATIENCE)
                self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._sock.sendall(self._request)
            status, closes = answer(self._sock)
        except (OSError, ValueError) as error:
            self._drop()
            return type(error).__name__
        if closes:
            self._drop()
        return f"status {status}"

    def _drop(self) -> None:
        if self._sock is not None:
            self._sock.close()
        self._sock = None


class FrontEnd:
    """One front-end of the checkout at ``root``, at a port that stays its own over restarts."""

    def __init__(self, root: Path, folder: Path, number: int) -> None:
        self._root, self._folder = root.resolve(), folder
        self._log: Final = (folder / f"front-{number}.log").open("wb")
        self.port: Final = free_port()
        self.start()

    def start(self) -> None:
        """Start it, and wait until it serves the model."""
        words = ("--host", "127.0.0.1", "--port", str(self.port))
        models = ("--discovery-dir", str(self._folder / "models"), "--access-log", "none")
        self.process = serve(self._root, (*words, *models), self._log)
        eventually(self._ready, READY, f"the front-end at port {self.port} is ready")

    def restart(self) -> float:
        """SIGTERM, its end, a new start; the seconds to its end."""
        begun = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(EXIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(EXIT)
        took = time.monotonic() - begun
        self.start()
        return took

    def close(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait(EXIT)
        self._log.close()

    def _ready(self) -> bool:
        with suppress(OSError):
            for path in ("ready", "v1/models"):
                url = f"http://127.0.0.1:{self.port}/{path}"
                with urllib.request.urlopen(url, timeout=5) as found:
                    body = found.read()
            return b'"mock"' in body
        return False


def program(name: str) -> str:
    """Where the proxy is. Raises :class:`Unavailable`."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if found is None:
        raise Unavailable(f"there is no {name} here: apt-get install nginx haproxy, as root")
    return found


def measure(proxy: str, root: Path, requests: int) -> Row:
    """Twenty restarts behind ``proxy``, and at least so many requests meanwhile."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(Upstreams(1))
        (folder / "models").mkdir()
        endpoint = {"url": f"{upstream.urls[0]}/v1"}
        entry = {"name": "mock", "model_type": "chat", "endpoint": endpoint}
        (folder / "models" / "mock.json").write_text(json.dumps(entry))
        fronts = [FrontEnd(root, folder, number) for number in range(2)]
        for front in fronts:
            stack.callback(front.close)
        address = _proxied(proxy, [front.port for front in fronts], folder, stack)
        over, begun = threading.Event(), time.monotonic()
        clients = [Client(address, over) for _ in range(CLIENTS)]
        for client in clients:
            client.thread.start()
        stack.callback(over.set)

        def wait_for_requests(count: int) -> None:
            def asked() -> bool:
                return sum(len(client.tally.took) for client in clients) >= count

            eventually(asked, MOST, f"{count} requests")

        exits: list[float] = []
        for number in range(RESTARTS):
            threading.Event().wait(REST)
            wait_for_requests(requests * number // RESTARTS)
            exits.append(fronts[number % 2].restart())
        wait_for_requests(requests)
        over.set()
        for client in clients:
            client.thread.join(PATIENCE * 2)
        tallies = [client.tally for client in clients]
        label = root.resolve().name
        return Row(proxy, label, RESTARTS, tallies, time.monotonic() - begun, exits)


def _proxied(proxy: str, ports: Sequence[int], folder: Path, stack: ExitStack) -> tuple[str, int]:
    """Start the proxy before two front-ends; where it listens."""
    ending, option = PROXIES[proxy]
    port = free_port()
    first, second = (f"127.0.0.1:{each}" for each in ports)
    text = (Path(__file__).parent / f"rolling.{ending}").read_text()
    written = folder / ending
    written.write_text(text.format(folder=folder, port=port, first=first, second=second))
    log = stack.enter_context((folder / "proxy.log").open("wb"))
    process = subprocess.Popen([program(proxy), option, str(written)], stdout=log, stderr=log)
    stack.callback(process.wait, EXIT)
    stack.callback(process.kill)

    def listens() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return True
        if process.poll() is not None:
            raise AssertionError(f"{proxy} ended: {(folder / 'proxy.log').read_text()}")
        return False

    eventually(listens, READY, f"{proxy} listens")
    return "127.0.0.1", port


def run(report: Report, settings: Settings) -> None:
    """Each proxy before each checkout; the promises are of the last one."""
    names = settings.parts(PROXIES)
    for name in names:
        program(name)
    rows: list[Row] = []
    for proxy in names:
        for root in settings.roots:
            rows.append(measure(proxy, root, min(settings.requests, REQUESTS)))
            report.say(table(rows[-1:]).splitlines()[-1])
        failed = rows[-1].failed.total()
        report.promise(f"no request fails behind {proxy}, of {rows[-1].requests:,}", not failed)
    if settings.file is not None:
        settings.file.write_text(table(rows))
    report.say("\n" + table(rows))
