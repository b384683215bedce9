"""The real service in a process of its own, under HTTP load; with etcd and workers if wanted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any, Final, cast

from actors.testing.faults import TcpProxy
from tests.faults.evidence import Mark, Vitals
from tests.faults.load import HttpLoad, Target
from tests.faults.worlds.process import HostProcess
from tests.faults.worlds.worker import Worker
from tests.support.etcd import EtcdServer

__all__ = ["ServedWorld", "discovered", "hosted", "started_etcd"]

RATE: Final = 60.0
DEADLINE: Final = 10.0
LOOK_TIMEOUT: Final = 5.0
READY: Final = 60.0
ALPHA, BETA = "alpha", "beta"


class ServedWorld:
    """One host process; ``etcd``, ``proxy`` (between the two) and ``workers`` if it discovers."""

    def __init__(
        self,
        host: HostProcess,
        base: float,
        targets: Sequence[Target],
        *,
        rate: float = RATE,
        deadline: float = DEADLINE,
    ) -> None:
        self.host, self.base = host, base
        self.deadline = deadline
        self.address = host.address
        self.model = targets[0].model
        """A model to ask, for faults that need one."""
        self.load: HttpLoad | None = HttpLoad(
            host.address, targets, rate, base=base, deadline=deadline
        )
        self.etcd: EtcdServer | None = None
        self.proxy: TcpProxy | None = None
        self.worker_proxies: list[TcpProxy] = []
        self.workers: list[Worker] = []
        self.extra: dict[str, Any] = {}
        """Facts that scenarios add."""
        self.exit_expected = True
        self._marks: list[Mark] = []
        self._stale = False
        self._lines_before = 0

    @property
    def over(self) -> bool:
        """Whether the process has ended."""
        return self.host.process.poll() is not None

    def discovery(self) -> dict[str, Any]:
        """What /health says of discovery; empty if it does not answer."""
        _, body = self.get("/health")
        return _holding(body, "stale_since") or {}

    @property
    def the_etcd(self) -> EtcdServer:
        """The etcd of a world that has one."""
        assert self.etcd is not None, "this world has no etcd"
        return self.etcd

    @property
    def the_proxy(self) -> TcpProxy:
        """What stands between etcd and the service."""
        assert self.proxy is not None, "this world has no etcd"
        return self.proxy

    def get(self, path: str, timeout: float = LOOK_TIMEOUT) -> tuple[int, Any]:
        """Status and JSON of a GET; status 0 if there was no answer."""
        connection = HTTPConnection(*self.address, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, HTTPException, ValueError):
            return 0, None
        finally:
            connection.close()

    def models(self) -> list[str] | None:
        """What /v1/models lists; ``None`` if it does not answer."""
        status, body = self.get("/v1/models", 2.0)
        return [each["id"] for each in body["data"]] if status == 200 else None

    def sample(self) -> Mapping[str, Any]:
        """The models that are listed, CPU and memory used so far; nothing once it has ended."""
        if self.over:
            return {}
        seen = {"models": self.models(), "cpu": self.host.cpu(), "rss": self.host.vitals().memory}
        stale = self.etcd is not None and self.discovery().get("stale_since") is not None
        if stale and not self._stale:
            self.mark("stale")
        self._stale = stale
        return seen

    def injecting(self) -> None:
        """Facts from the log are of the lines from now on."""
        self._lines_before = len(self.host.log)

    def vitals(self) -> Vitals:
        """As the kernel counts, and what is in flight once the load has stopped."""
        kernel = self.host.vitals()
        if self.host.process.poll() is not None:
            return kernel
        deadline = time.monotonic() + LOOK_TIMEOUT
        inflight = self._inflight()
        while inflight and self.load is not None and time.monotonic() < deadline:
            inflight = self._inflight()
            if self._load_runs():
                break
        return Vitals(
            kernel.threads, kernel.files, 0, 0 if self._load_runs() else inflight, kernel.memory
        )

    def mark(self, what: str) -> None:
        """Note that something happened, now."""
        self._marks.append(Mark(time.monotonic() - self.base, what))

    def marks(self) -> list[Mark]:
        """What happened in the tree, and what scenarios noted."""
        if self.host.process.poll() is not None:
            return self._marks
        inside = [Mark(at - self.base, what) for at, what in self.host.order("marks")]
        return [*self._marks, *inside]

    def finish(self) -> Mapping[str, Any]:
        """SIGTERM; how it ended, and what its log says."""
        log = self.host.log[self._lines_before :]
        lines = [line for line in log if " ended: crash" in line]
        stuck = [line for line in log if "did not end within" in line]
        facts = {"crash_lines": len(lines), "stuck_lines": len(stuck), **self.extra}
        if self.exit_expected:
            code, seconds = self.host.terminate()
            facts.setdefault("exit_code", code)
            facts.setdefault("exit_seconds", seconds)
        return facts

    def announce(self, model: str, instance: str, address: tuple[str, int]) -> None:
        """Put one instance of a model into etcd, as a worker does."""
        self.the_etcd.put(*_entry(model, instance, address))

    def announce_all(self) -> None:
        """Both models with all their instances."""
        for key, value in _announced(self.worker_proxies):
            self.the_etcd.put(key, value)

    def wait_models(self, wanted: set[str], timeout: float = READY) -> None:
        """Wait until exactly these models are listed."""
        if not self.models_become(wanted, timeout):
            raise RuntimeError(f"{sorted(wanted)} never came: {self.host.log[-5:]}")

    def models_become(self, wanted: set[str], timeout: float) -> bool:
        """Whether exactly these models are listed within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        pause = threading.Event()
        while set(self.models() or ()) != wanted:
            if time.monotonic() > deadline:
                return False
            pause.wait(0.002)
        return True

    def _inflight(self) -> int:
        status, body = self.get("/health")
        return int(body.get("inflight_requests", 0)) if status else 0

    def _load_runs(self) -> bool:
        return self.load is not None and self.load.running


STEADY = (Target("steady"), Target("steady", stream=True), Target("echo"))
RELAYED = (Target(ALPHA), Target(ALPHA, stream=True), Target(BETA))


@contextmanager
def hosted(
    base: float,
    targets: Sequence[Target] = STEADY,
    *,
    stderr: int | None = None,
    **options: Any,
) -> Generator[ServedWorld]:
    """The service with in-process engines: ``steady``, ``echo`` and the faulty ``victim``."""
    host = HostProcess(options, stderr=stderr)
    try:
        world = ServedWorld(host, base, targets)
        _warm(world, targets)
        yield world
    finally:
        host.close()


@contextmanager
def discovered(base: float, *, workers: int = 2, **options: Any) -> Generator[ServedWorld]:
    """The service, a real etcd behind a proxy, and workers behind theirs; two models."""
    with ExitStack() as stack:
        etcd = started_etcd(stack)
        proxy = stack.enter_context(TcpProxy(("127.0.0.1", etcd.port)))
        crowd = [stack.enter_context(Worker()) for _ in range(workers)]
        doors = [stack.enter_context(TcpProxy(worker.address)) for worker in crowd]
        # First, so that a host that can't follow changes starts all the same, and is found out.
        for key, value in _announced(doors):
            etcd.put(key, value)
        host = HostProcess({"etcd": [proxy.url], "engine": [], **options})
        stack.callback(host.close)
        world = ServedWorld(host, base, RELAYED)
        world.etcd, world.proxy, world.workers, world.worker_proxies = etcd, proxy, crowd, doors
        everything = {"steady", "victim", ALPHA, BETA}
        world.wait_models(everything)
        world.extra["allowed_models"] = {frozenset(everything)}
        _warm(world, RELAYED)
        yield world


def started_etcd(stack: ExitStack, tries: int = 3) -> EtcdServer:
    """A running etcd. Its ports were free when they were chosen; others may have been faster."""
    try:
        return stack.enter_context(EtcdServer())
    except RuntimeError as error:
        if tries <= 1 or "address already in use" not in str(error):
            raise
    return started_etcd(stack, tries - 1)


def _entry(model: str, instance: str, address: tuple[str, int]) -> tuple[str, str]:
    """Key and value of one instance, as a worker writes them."""
    url = f"http://{address[0]}:{address[1]}/v1"
    value = {"name": model, "model_type": "chat", "endpoint": {"url": url}, "instance": instance}
    return f"/models/chat/{model}#{instance}", json.dumps(value)


def _announced(doors: Sequence[TcpProxy]) -> list[tuple[str, str]]:
    """Every worker serves one model, the last one another, too."""
    entries = [_entry(ALPHA, f"w{number}", door.address) for number, door in enumerate(doors)]
    return [*entries, _entry(BETA, "w1", doors[-1].address)]


def _holding(body: Any, key: str) -> dict[str, Any] | None:
    """The object within ``body``, at any depth, that has ``key``."""
    if not isinstance(body, dict):
        return None
    found = cast("dict[str, Any]", body)
    if key in found:
        return found
    inner = (_holding(each, key) for each in found.values())
    return next((each for each in inner if each is not None), None)


def _warm(world: ServedWorld, targets: Sequence[Target]) -> None:
    """Let pools and caches grow to their size before anything is compared."""
    warming = HttpLoad(world.address, targets, 100.0, base=world.base)
    warming.start()
    while len(warming.recent(60.0)) < 40:
        world.sample()
    warming.stop()
