"""What rows 3, 30, 32, 36 and 37 inject: each function makes the fault of one scenario."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

from actors.testing.faults import FileLimit, Freeze, Kill, MemoryLimit
from actors.testing.faults.fault import Fault
from tests.faults.evidence import Evidence
from tests.faults.load import Target, request_bytes
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.process import HostProcess
from tests.faults.worlds.served import ServedWorld

__all__ = [
    "cpu_while_exhausted",
    "freeze_and_change",
    "idle_files",
    "kill_loop",
    "memory",
    "ready_again",
]

MIB: Final = 1024 * 1024
LARGE: Final = 30 * MIB


def kill_loop(world: ServedWorld, _rng: Any) -> Fault:
    """The event loop's thread ends, three times: with it, whoever has every connection."""

    def begin(facts: dict[str, Any]) -> None:
        facts["faults_injected"] = 3
        with suppress(RuntimeError):  # no successor came: the restarts tell
            for _ in range(3):
                world.host.order("kill_loop")
                threading.Event().wait(0.1)

    return Doing("the loop's thread ends", begin, times=3)


def memory(world: ServedWorld, _rng: Any) -> Fault:
    """Little memory left, and large requests at once that want it."""
    limit = MemoryLimit(world.host.pid, spare=24 * MIB)
    data = request_bytes(Target("steady"), "x" * LARGE)

    def ask(_number: int) -> str:
        answer = b""
        with suppress(OSError), socket.create_connection(world.address, 10.0) as client:
            client.sendall(data)
            answer = client.recv(100)
        return f"status {answer[9:12].decode()}" if answer else "cut"

    def begin(facts: dict[str, Any]) -> None:
        limit.inject()
        with ThreadPoolExecutor(4) as pool:
            facts["large"] = sorted(pool.map(ask, range(4)))
        facts["large_failed"] = sum(each != "status 200" for each in facts["large"])

    return Doing("memory limit", begin, limit.heal, spare=24 * MIB)


def cpu_while_exhausted(seen: Evidence) -> float:
    """Percent of a core used while the fault was on, beyond what the load took before it."""
    calm = [s for s in seen.samples if s.at < seen.injected_at and "cpu" in s.values]
    if not seen.fact("cpu_percent") or len(calm) < 2:
        return 0.0
    before: float = (
        100.0 * (calm[-1].values["cpu"] - calm[0].values["cpu"]) / (calm[-1].at - calm[0].at)
    )
    return max(0.0, float(seen.fact("cpu_percent")) - before)


def idle_files(world: ServedWorld, _rng: Any) -> Fault:
    """No descriptor left, and clients that want some."""
    limit = FileLimit(world.host.pid)
    clients: list[socket.socket] = []

    before = [0.0, 0.0]

    def begin(_facts: dict[str, Any]) -> None:
        limit.inject()
        for _ in range(20):
            client = socket.socket()
            client.settimeout(0)
            client.connect_ex(world.address)
            clients.append(client)
        before[:] = [world.host.cpu(), time.monotonic()]

    def end() -> None:
        used, seconds = world.host.cpu() - before[0], time.monotonic() - before[1]
        doing.facts["cpu_percent"] = 100.0 * used / seconds
        limit.heal()
        for client in clients:
            client.close()

    doing = Doing("no file descriptors", begin, end)
    return doing


def freeze_and_change(world: ServedWorld, _rng: Any) -> Fault:
    freeze = Freeze(world.host.pid)
    before = next(iter(world.extra["allowed_models"]))
    world.extra["allowed_models"] = {before, before | {"gamma"}}

    def end() -> None:
        world.announce("gamma", "w0", world.worker_proxies[0].address)
        freeze.heal()
        begun = time.monotonic()
        doing.facts["caught_up"] = world.models_become({*before, "gamma"}, 30.0)
        doing.facts["reconverge_ms"] = (time.monotonic() - begun) * 1000.0

    doing = Doing("freeze ourselves", lambda _facts: freeze.inject(), end)
    return doing


def ready_again(world: ServedWorld, _rng: Any) -> Fault:
    host: HostProcess = world.host
    everything: frozenset[str] = next(iter(world.extra["allowed_models"]))

    def restart() -> None:
        doing.facts["came_back"] = False
        try:
            host.restart()
        except RuntimeError as error:  # the evidence, not the end of the run
            doing.facts["start_error"] = str(error)
            return
        begun = time.monotonic()
        doing.facts["came_back"] = world.models_become(set(everything), 30.0)
        doing.facts["ready_ms"] = (time.monotonic() - begun) * 1000.0

    kill = Kill(host.pid, restart)

    def begin(_facts: dict[str, Any]) -> None:
        with socket.create_connection(world.address, 10.0) as client:
            client.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.recv(100)
            kill.inject()
            host.process.wait(10.0)
            # To its end, so that the port is left in TIME_WAIT by the side that died.
            with suppress(ConnectionResetError):
                while client.recv(1000):
                    pass

    # While it starts, a part of the models is all there is: a new process knows none yet.
    two = frozenset({"steady", "victim"})
    world.extra["allowed_models"] = {everything, *(two | {m} for m in everything), two, frozenset()}
    doing = Doing("SIGKILL", begin, kill.heal)
    return doing
