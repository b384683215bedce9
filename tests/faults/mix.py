"""Row 39 and the campaign: faults mixed at random, from a seed, on the whole service."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from actors.testing.faults import (
    Disconnect,
    Down,
    EtcdFreeze,
    EtcdKill,
    Fault,
    Latency,
    Malformed,
    Partition,
    ResetPeer,
    Slowloris,
    SlowReader,
)
from tests.faults.evidence import Evidence, Request
from tests.faults.invariants import Invariant, common
from tests.faults.load import Target, request_bytes
from tests.faults.rows.bad_bytes import BAD_JSON, Case, requests_for
from tests.faults.rows.discovery_faults import crash_actor
from tests.faults.scenario import Figure, Scenario
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.served import ALPHA, ServedWorld, discovered

__all__ = ["KINDS", "ROWS", "Mix", "Step", "drawn", "mixed", "told", "unavailability"]

PROMISED: Final = 99.99
"""Percent of the requests that some instance could serve which are answered right."""
LONGEST: Final = 3.0
WORKER_GONE: Final = "worker-down"


@dataclass(frozen=True, slots=True)
class Step:
    """One fault of a schedule: injected ``at`` seconds, healed ``seconds`` later."""

    at: float
    seconds: float
    kind: str


def _request(words: int) -> bytes:
    return request_bytes(Target(ALPHA, stream=True), " ".join(f"w{n}" for n in range(words)))


def _nonsense() -> tuple[Case, ...]:
    return requests_for(ALPHA, BAD_JSON[:4])


def _etcd_kill(world: ServedWorld) -> Fault:
    etcd = world.the_etcd
    fault = EtcdKill(etcd)
    return Doing("etcd-kill", lambda _facts: fault.inject(), fault.heal)


KINDS: Final[Mapping[str, tuple[str, Callable[[ServedWorld], Fault]]]] = {
    "kill-registry": ("registry", lambda w: crash_actor("registry", 1, w, None)),
    "kill-discovery": ("discovery", lambda w: crash_actor("discovery", 1, w, None)),
    "kill-http": ("http", lambda w: crash_actor("http", 1, w, None)),
    "kill-loop": ("http", lambda w: crash_actor("eventloop", 1, w, None)),
    "etcd-freeze": ("etcd", lambda w: EtcdFreeze(w.the_etcd)),
    "etcd-kill": ("etcd", _etcd_kill),
    "etcd-partition": ("net", lambda w: Partition(w.the_proxy)),
    "etcd-reset": ("net", lambda w: ResetPeer(w.the_proxy)),
    "etcd-latency": ("net", lambda w: Latency(w.the_proxy, 0.3, 0.1)),
    WORKER_GONE: ("worker", lambda w: Down(w.worker_proxies[0])),
    "worker-slow": ("worker", lambda w: Latency(w.worker_proxies[0], 0.1)),
    "clients-leave": (
        "clients",
        lambda w: Disconnect(w.address, _request(2000), "mid-answer", reset=True, count=10),
    ),
    "clients-slow": ("readers", lambda w: SlowReader(w.address, _request(5000), count=4)),
    "clients-dribble": ("loris", lambda w: Slowloris(w.address, b"POST / HT", b"T", count=30)),
    "clients-nonsense": ("nonsense", lambda w: Malformed(w.address, _nonsense(), wait=5.0)),
}
"""Each kind with what it occupies: of one resource, only one fault is on at a time."""


def drawn(rng: random.Random, seconds: float, at_once: int = 3) -> tuple[Step, ...]:
    """Steps for so many seconds, ``at_once`` of them at a time at most."""
    steps: list[Step] = []
    now = 0.3
    while now < seconds - 0.5:
        busy = [s for s in steps if s.at + s.seconds > now]
        taken = {KINDS[s.kind][0] for s in busy}
        free = [kind for kind, (what, _) in KINDS.items() if what not in taken]
        if len(busy) < at_once:
            length = min(rng.uniform(0.3, LONGEST), seconds - now)
            steps.append(Step(round(now, 3), round(length, 3), rng.choice(free)))
        now = round(now + rng.uniform(0.2, 1.4), 3)
    return tuple(steps)


class Mix(Fault):
    """Runs a schedule from the moment it is injected; healing ends it wherever it is."""

    def __init__(self, world: ServedWorld, steps: Sequence[Step]) -> None:
        super().__init__(steps=len(steps))
        self.name = "mix"
        self.facts: dict[str, Any] = {}
        self._world, self._steps = world, steps
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mix", daemon=True)

    def _inject(self) -> None:
        self.facts["steps"] = len(self._steps)
        self._thread.start()

    def _heal(self) -> None:
        self._over.set()
        self._thread.join(60.0)

    def _run(self) -> None:
        begun = time.monotonic()
        on: list[tuple[float, str, Fault]] = []
        waiting = sorted(self._steps, key=lambda step: step.at)
        try:
            while waiting or on:
                now = time.monotonic() - begun
                for each in [each for each in on if each[0] <= now]:
                    on.remove(each)
                    self._end_step(each)
                if waiting and waiting[0].at <= now:
                    step = waiting.pop(0)
                    self._start_step(step, on)
                    continue
                moments = [each[0] for each in on] + [step.at for step in waiting[:1]]
                if moments and self._over.wait(max(0.0, min(moments) - now)):
                    return
        finally:
            for each in on:
                self._end_step(each)

    def _start_step(self, step: Step, on: list[tuple[float, str, Fault]]) -> None:
        fault = KINDS[step.kind][1](self._world)
        self._world.mark(f"inject {step.kind}")
        # The service may refuse to be attacked just now; then there is nothing to heal.
        with suppress(OSError):
            fault.inject()
            on.append((step.at + step.seconds, step.kind, fault))

    def _end_step(self, each: tuple[float, str, Fault]) -> None:
        each[2].heal()
        self._world.mark(f"heal {each[1]}")


def told(seen: Evidence) -> list[Request]:
    """Streams that a worker left in the middle, and that said so: by design, not a failure.

    What a client has read can't be taken back, so no other worker can go on with it. Without a
    worker that went away meanwhile, an error event is a failure like any other.
    """
    gone, begun = list[tuple[float, float]](), 0.0
    for mark in seen.marks:
        if mark.what == f"inject {WORKER_GONE}":
            begun = mark.at
        elif mark.what == f"heal {WORKER_GONE}":
            gone.append((begun, mark.at))
    return [
        r
        for r in seen.failed(lambda r: r.outcome.startswith("error event"))
        if any(since <= r.end and r.at <= until for since, until in gone)
    ]


def unserved(seen: Evidence) -> list[Request]:
    """The requests that failed although some instance could have served them."""
    excused = set(told(seen))
    return [r for r in seen.failed() if r not in excused]


def unavailability(seen: Evidence) -> float:
    """Percent of the requests that some instance could serve and that failed all the same."""
    return 100.0 * len(unserved(seen)) / max(1, len(seen.requests))


def _available(seen: Evidence) -> str | None:
    lost = unserved(seen)
    if 100.0 - unavailability(seen) >= PROMISED:
        return None
    kinds = sorted({f"{r.target} {r.outcome}" for r in lost})[:4]
    return f"{100.0 - unavailability(seen):.3f} %, {len(lost)} failed: {kinds}"


INVARIANTS: Final = (
    *common("C1", "C3", "C4", "C5", "C6", "C8", "C9"),
    Invariant(f"at least {PROMISED} % are answered right", _available),
)


def mixed(key: str, steps: Sequence[Step] | None, seconds: float) -> Scenario:
    """A scenario of these steps; of steps drawn from its seed, if ``None``."""

    def fault(world: ServedWorld, rng: random.Random) -> Fault:
        return Mix(world, drawn(rng, seconds) if steps is None else steps)

    return Scenario(
        39,
        key,
        f"faults at random, three at a time, for {seconds:g} s",
        "combination",
        discovered,
        fault,
        INVARIANTS,
        (
            Figure("unavailability", "%", unavailability),
            Figure("worst outage", "s", lambda e: e.outage()),
            Figure("requests", "", lambda e: len(e.requests) if not e.control else 0),
            Figure("streams with a break", "", lambda e: len(told(e))),
            Figure("faults injected", "", lambda e: e.fact("steps")),
            Figure("p99 during", "ms", lambda e: e.percentile(99)),
        ),
        seconds=seconds,
        patience=40.0,
    )


ROWS: Final = (mixed("mix", None, 60.0),)
