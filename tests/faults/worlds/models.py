"""The service with real model workers, each a process of its own that etcd tells it of."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Final

from actors.engines.llama.host import BUNDLED_ALIAS, bundled_model
from actors.testing.faults import FaultUnavailable
from tests.faults.load import HttpLoad, Target
from tests.faults.worlds.process import HostProcess
from tests.faults.worlds.served import ServedWorld, started_etcd
from tests.support.callboard import Callboard

__all__ = ["MODEL", "modelled"]

MODEL: Final = BUNDLED_ALIAS
RATE: Final = 1.5
"""Requests a second: what two workers on two busy cores can take."""
ANSWERED: Final = 60.0
"""Seconds that any answer may take there."""
LOADED: Final = 120.0
"""Seconds for the workers to load their model."""
WORKERS: Final = 2
TTL: Final = "3"
"""Seconds after which etcd forgets a worker that was killed."""
STREAMS: Final = (Target(MODEL, stream=True, any_text=True, max_tokens=8),)


@contextmanager
def modelled(base: float) -> Generator[ServedWorld]:
    """Two workers that host SmolLM2, under streaming clients; ``extra["model_workers"]``.

    Raises ``FaultUnavailable`` where the model, or what runs it, is not installed.
    """
    _need_model()
    with ExitStack() as stack:
        etcd = started_etcd(stack)
        host = HostProcess({"etcd": [etcd.endpoint], "engine": []})
        stack.callback(host.close)
        crowd = [stack.enter_context(_worker(etcd.endpoint, n)) for n in range(WORKERS)]
        world = ServedWorld(host, base, STREAMS, rate=RATE, deadline=ANSWERED)
        world.etcd = etcd
        world.extra["model_workers"] = crowd
        _await_workers(world)
        everything = {"steady", "victim", MODEL}
        world.wait_models(everything)
        world.extra["allowed_models"] = {frozenset(everything)}
        _warm(world)
        yield world


def _need_model() -> None:
    try:
        bundled_model()
    except FileNotFoundError as error:
        raise FaultUnavailable(str(error)) from None
    if importlib.util.find_spec("xllamacpp") is None:
        raise FaultUnavailable("xllamacpp, which runs the model, is not installed")


def _worker(etcd: str, number: int) -> Callboard:
    words = ("worker", "--etcd", etcd, "--llama", "smollm2", "--ttl", TTL, "--type", "chat")
    return Callboard(*words, "--instance", f"w{number}")


def _await_workers(world: ServedWorld) -> None:
    deadline, pause, found = time.monotonic() + LOADED, threading.Event(), 0
    while found < WORKERS:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{found} of {WORKERS} workers came within {LOADED:g} s")
        status, body = world.get(f"/v1/models/{MODEL}/instances")
        found = len(body["data"]) if status == 200 else 0
        pause.wait(0.1)


def _warm(world: ServedWorld) -> None:
    """Let both answer a few times before anything is compared."""
    warming = HttpLoad(world.address, STREAMS, RATE, base=world.base, deadline=ANSWERED)
    warming.start()
    deadline, pause = time.monotonic() + ANSWERED, threading.Event()
    while len(warming.recent(60.0)) < 2 * WORKERS and time.monotonic() < deadline:
        pause.wait(0.1)
    warming.stop()
