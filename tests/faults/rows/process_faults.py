"""What rows 3, 30, 32, 33 and 35 to 37 inject: each function makes the fault of one scenario."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from actors.testing.faults import FileLimit, Freeze, Kill, MemoryLimit, Terminate
from actors.testing.faults.fault import Fault
from tests.faults.asking import ask_many
from tests.faults.evidence import Evidence
from tests.faults.load import Target, request_bytes
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.process import HostProcess
from tests.faults.worlds.served import ServedWorld, hosted

__all__ = [
    "cpu_while_exhausted",
    "end",
    "end_during_outage",
    "end_during_restart",
    "end_during_start",
    "freeze_and_change",
    "full_disk",
    "idle_files",
    "kill_loop",
    "log_gone",
    "log_stalls",
    "long_stream",
    "memory",
    "ready_again",
    "start_and_stop",
    "to_full_disk",
    "with_log_pipe",
]

MIB: Final = 1024 * 1024
F_SETPIPE_SZ: Final = 1031
START: Final = 60.0
FILLED: Final = 1.0
"""Seconds in which access lines surely fill a pipe of 4 KiB."""
LARGE: Final = 30 * MIB


def end(times: int, world: ServedWorld, _rng: Any) -> Fault:
    """SIGTERM, once or twice, and how the process ends."""
    world.exit_expected = False

    def begin(facts: dict[str, Any]) -> None:
        begun = time.monotonic()
        stream = long_stream(world) if times > 1 else None
        for _ in range(times):
            Terminate(world.host.pid).inject()
            threading.Event().wait(0.05)
        facts["exit_code"] = world.host.process.wait(40.0)
        facts["exit_seconds"] = time.monotonic() - begun
        facts["code_wanted"] = facts["exit_code"] == (0 if times == 1 else 1)
        if stream is not None:
            facts["exit_code"] = 0  # 1 is what was promised; C8 is about orderly ends
            stream.close()

    return Doing(f"SIGTERM x {times}", begin)


def long_stream(world: ServedWorld) -> socket.socket:
    """A stream that would go on for ever, so that a drain has something to wait for."""
    world.host.order("twist", fault="EngineEndless")
    client = socket.create_connection(world.address, 10.0)
    client.sendall(request_bytes(Target("victim", stream=True), "for ever"))
    client.recv(100)
    return client


def end_during_outage(world: ServedWorld, _rng: Any) -> Fault:
    world.the_etcd.kill()
    return end(1, world, _rng)


def end_during_restart(world: ServedWorld, _rng: Any) -> Fault:
    world.host.order("crash", path="http")
    return end(1, world, _rng)


def end_during_start(_world: ServedWorld, _rng: Any) -> Fault:
    """SIGTERM to another process of ours, which is still starting."""

    def begin(facts: dict[str, Any]) -> None:
        worst, codes = 0.0, set[int | None]()
        for wait in (0.05, 0.3, 0.6, None):
            code, seconds = start_and_stop(wait)
            codes.add(code)
            worst = max(worst, seconds)
        facts["start_codes"] = sorted(str(code) for code in codes)
        facts["start_stop_seconds"] = worst
        # Python itself is killed by a SIGTERM that comes before our handler stands.
        facts["start_ok"] = codes <= {0, 1, -signal.SIGTERM}

    return Doing("SIGTERM during start", begin)


def start_and_stop(wait: float | None) -> tuple[int | None, float]:
    """SIGTERM after so many seconds, or (``None``) as soon as a handler of ours waits for it.

    The exit code, ``None`` if it did not end; and the seconds from the signal to the end.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "actors.main", "serve", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _await_handler(process) if wait is None else threading.Event().wait(wait)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(20.0), time.monotonic() - begun
    except subprocess.TimeoutExpired:  # it does not end: the evidence, not the end of the run
        return None, time.monotonic() - begun
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10.0)


def _await_handler(process: subprocess.Popen[bytes]) -> None:
    """Wait until ``process`` catches SIGTERM: what starts then takes far longer than a look."""
    deadline, pause = time.monotonic() + START, threading.Event()
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None and time.monotonic() < deadline:
        found = re.search(r"^SigCgt:\s*([0-9a-f]+)", status.read_text(), re.MULTILINE)
        if found and int(found[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        pause.wait(0.001)


@contextmanager
def with_log_pipe(base: float) -> Generator[ServedWorld]:
    """A host whose stderr is a pipe that this process reads, until a fault says otherwise."""
    reading, writing = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    over = threading.Event()
    stalled = threading.Event()

    def drain() -> None:
        with suppress(OSError):
            while not over.is_set():
                if stalled.is_set():
                    over.wait(0.02)
                elif not os.read(reading, 65536):
                    return

    reader = threading.Thread(target=drain, name="log-reader", daemon=True)
    reader.start()
    try:
        with hosted(base, stderr=writing) as world:
            os.close(writing)
            world.extra["log_reading"], world.extra["log_stalled"] = reading, stalled
            yield world
    finally:
        over.set()
        stalled.clear()
        reader.join(5.0)
        with suppress(OSError):
            os.close(reading)


def kill_loop(world: ServedWorld, _rng: Any) -> Fault:
    """The event loop's thread ends, three times: with it, whoever has every connection."""

    def begin(facts: dict[str, Any]) -> None:
        facts["faults_injected"] = 3
        with suppress(RuntimeError):  # no successor came: the restarts tell
            for _ in range(3):
                world.host.order("kill_loop")
                threading.Event().wait(0.1)

    return Doing("the loop's thread ends", begin, times=3)


def log_gone(world: ServedWorld, _rng: Any) -> Fault:
    reading = world.extra.pop("log_reading")
    world.extra.pop("log_stalled")

    def begin(_facts: dict[str, Any]) -> None:
        os.close(reading)

    return Doing("stderr closed", begin)


def log_stalls(world: ServedWorld, _rng: Any) -> Fault:
    """Nobody reads: access lines fill the pipe, then engines fail, which is logged otherwise."""
    world.extra.pop("log_reading")
    stalled = world.extra.pop("log_stalled")
    asked = Target("victim", any_text=True)

    def begin(facts: dict[str, Any]) -> None:
        world.host.order("twist", fault="EngineRaises", error="RuntimeError")
        stalled.set()
        threading.Event().wait(FILLED)
        facts["failing"] = ask_many(world.address, [asked] * 4, "a", 10.0)

    def end() -> None:
        stalled.clear()
        world.host.order("untwist")

    return Doing("stderr stalls", begin, end)


@contextmanager
def to_full_disk(base: float) -> Generator[ServedWorld]:
    """A host whose stderr is on a disk that is full."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with hosted(base, stderr=full) as world:
            yield world
    finally:
        os.close(full)


def full_disk(_world: ServedWorld, _rng: Any) -> Fault:
    return Doing("full disk", lambda facts: facts.update(full=1))


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
            client.sendall(b"GET /live HTTP/1.1\r\nHost: faults\r\n\r\n")
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
