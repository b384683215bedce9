"""Rows 1, 2 and 14 to 19: the registry, discovery and etcd, on a real etcd behind a proxy."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from actors.testing.faults import (
    Down,
    EtcdCompaction,
    EtcdFreeze,
    EtcdGarbage,
    EtcdKill,
    EtcdLeaseExpiry,
    EtcdWiped,
    Fault,
    HalfClose,
    Latency,
    Partition,
    ResetPeer,
    Slicer,
)
from tests.faults.evidence import Evidence
from tests.faults.invariants import (
    Invariant,
    all_failures_are,
    at_least,
    at_most,
    common,
    fact_is,
    no_failures,
)
from tests.faults.scenario import Figure, Scenario
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.served import ALPHA, BETA, ServedWorld, discovered

__all__ = ["ROWS", "crash_actor"]

FAMILY: Final = "discovery"
GAMMA: Final = "gamma"
CONVERGE: Final = 30.0
"""Seconds within which what happened meanwhile must be known."""

CLEAN: Final = common("C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9")
RECONVERGED: Final = Figure("reconverged", "ms", lambda e: e.fact("reconverge_ms"))
KNOWN: Final = fact_is("missing", [], "what changed meanwhile is known afterwards", always=False)
NO_CRASH: Final = at_most(lambda e: e.count("restart"), 0, "and no actor dies of it")
SEEN_THROUGH: Final = at_most(lambda e: e.count("stale"), 0, "and nothing is taken for an outage")
"""Of what is shorter than the time that etcd has to answer a ping."""
STALE: Final = Figure("seen as stale", "ms", lambda e: e.since_injection("stale"))


def crash_actor(path: str, times: int, world: ServedWorld, _rng: Any) -> Fault:
    """Crash an actor of the service, several times in a row."""

    def begin(facts: dict[str, Any]) -> None:
        pause = threading.Event()
        for _ in range(times):
            with suppress(RuntimeError):  # nobody is there to be crashed: the restarts tell
                world.host.order("crash", path=path)
            pause.wait(0.1)
        facts["faults_injected"] = times

    return Doing(f"crash {path}", begin, times=times)


def _then_changes(
    make: Callable[[ServedWorld], Fault],
    world: ServedWorld,
    _rng: Any,
    *,
    heal_first: bool = False,
) -> Fault:
    """A fault, and a change in etcd at its end that must be seen all the same.

    With ``heal_first`` the change comes after healing: an etcd that is down takes none.
    """
    fault = make(world)
    before = next(iter(world.extra["allowed_models"]))
    world.extra["allowed_models"] = {before, before | {GAMMA}}

    def end() -> None:
        if heal_first:
            fault.heal()
        world.announce(GAMMA, "w0", world.worker_proxies[0].address)
        fault.heal()
        _note_convergence(world, doing, before | {GAMMA})

    doing = Doing(fault.name, lambda _facts: fault.inject(), end, **fault.parameters)
    return doing


def _then_put_back(make: Callable[[ServedWorld], Fault], world: ServedWorld, _rng: Any) -> Fault:
    """A fault that takes entries away; workers announce them again when it is over."""
    fault = make(world)
    everything = next(iter(world.extra["allowed_models"]))
    gone = [everything - {ALPHA}, everything - {BETA}, everything - {ALPHA, BETA}]
    world.extra["allowed_models"] = {everything, *gone}

    def end() -> None:
        fault.heal()
        world.announce_all()
        _note_convergence(world, doing, everything)

    doing = Doing(fault.name, lambda _facts: fault.inject(), end, **fault.parameters)
    return doing


def _compaction(world: ServedWorld, _rng: Any) -> Fault:
    """An outage in which an entry goes, one comes, and history is thrown away.

    Not a partition: after that TCP delivers what was missed, and nobody has to list again.
    """
    outage = Down(world.the_proxy)
    before = next(iter(world.extra["allowed_models"]))
    after = (before - {BETA}) | {GAMMA}
    world.extra["allowed_models"] = {before, after, before - {BETA}, before | {GAMMA}}

    def begin(_facts: dict[str, Any]) -> None:
        outage.inject()
        world.the_etcd.delete(f"/models/chat/{BETA}#w1")
        world.announce(GAMMA, "w0", world.worker_proxies[0].address)
        EtcdCompaction(world.the_etcd).inject()

    def end() -> None:
        outage.heal()
        _note_convergence(world, doing, after)
        doing.facts["missed_deletes"] = int(BETA in (world.models() or ()))
        # So that the load comes to rest.
        world.announce(BETA, "w1", world.worker_proxies[-1].address)
        world.extra["allowed_models"].add(before | {GAMMA})
        world.models_become({*before, GAMMA}, CONVERGE)

    doing = Doing("compaction during an outage", begin, end)
    return doing


def _wiped(world: ServedWorld, _rng: Any) -> Fault:
    """All data go; afterwards one model is announced again, another is new, one stays away."""
    wiped = EtcdWiped(world.the_etcd)
    before = next(iter(world.extra["allowed_models"]))
    fixed = before - {ALPHA, BETA}
    world.extra["allowed_models"] = {
        fixed | frozenset(some)
        for size in range(4)
        for some in itertools.combinations((ALPHA, BETA, GAMMA), size)
    }

    def end() -> None:
        world.announce(GAMMA, "w0", world.worker_proxies[0].address)
        world.announce(BETA, "w1", world.worker_proxies[-1].address)
        _note_convergence(world, doing, fixed | {BETA, GAMMA})
        world.announce_all()  # so that the load comes to rest
        world.models_become({*before, GAMMA}, CONVERGE)

    doing = Doing("etcd-wiped", lambda _facts: wiped.inject(), end)
    return doing


def _lease(world: ServedWorld) -> Fault:
    lease = world.the_etcd.grant(60)
    key = f"/models/chat/{BETA}#w1"
    value = world.the_etcd.get(key)
    assert value is not None
    world.the_etcd.put(key, value, lease=lease)
    return EtcdLeaseExpiry(world.the_etcd, lease)


def _garbage(world: ServedWorld, rng: Any) -> Fault:
    garbage = EtcdGarbage(world.the_etcd, b"/models/chat/")
    fault = _then_changes(lambda _world: garbage, world, rng)

    def begin(facts: dict[str, Any]) -> None:
        fault.inject()
        deadline = time.monotonic() + CONVERGE
        pause = threading.Event()
        while time.monotonic() < deadline:
            facts["quarantined"] = world.discovery().get("quarantined_count", 0)
            if facts["quarantined"] == 8:
                break
            pause.wait(0.05)

    doing = Doing("garbage in etcd", begin, lambda: _heal_into(fault, doing))
    return doing


def _heal_into(fault: Fault, doing: Doing) -> None:
    fault.heal()
    doing.facts.update(getattr(fault, "facts", {}))


def _note_convergence(world: ServedWorld, doing: Doing, wanted: frozenset[str]) -> None:
    begun = time.monotonic()
    pause = threading.Event()
    found: frozenset[str] = frozenset()
    while time.monotonic() < begun + CONVERGE:
        found = frozenset(world.models() or ())
        if found == wanted:
            break
        pause.wait(0.005)
    doing.facts["reconverge_ms"] = (time.monotonic() - begun) * 1000.0
    doing.facts["missing"] = sorted(wanted ^ found)


def _etcd(kind: Callable[[Any], Fault]) -> Any:
    return partial(_then_changes, lambda world: kind(world.the_etcd), heal_first=True)


def _net(kind: Callable[..., Fault], *arguments: Any, **named: Any) -> Any:
    return partial(_then_changes, lambda world: kind(world.the_proxy, *arguments, **named))


def _row(row: int, key: str, title: str, fault: Any, *more: Invariant, **settings: Any) -> Scenario:
    figures = settings.pop("figures", (RECONVERGED, STALE))
    failures = settings.pop("failures", no_failures())
    stage = settings.pop("stage", discovered)
    return Scenario(
        row,
        key,
        title,
        FAMILY,
        stage,
        fault,
        (*CLEAN, failures, *more),
        figures,
        patience=30.0,
        **settings,
    )


def _down(child: str, times: int) -> tuple[Invariant, ...]:
    return (
        at_least(lambda e: e.count(f"restart {child}"), times, "each crash is one restart"),
        at_most(lambda e: e.count(f"restart {child}"), times, "and no more than one"),
        fact_is("crash_lines", times, "C7 one log line for each crash", always=False),
    )


def _dropped(seen: Evidence) -> float:
    """How many models were missing at once, at most."""
    shown = [len(s.values["models"]) for s in seen.samples if s.values.get("models") is not None]
    return max(shown, default=0) - min(shown, default=0)


ROWS: Final = (
    _row(
        1,
        "registry",
        "the registry is killed three times",
        partial(crash_actor, "registry", 3),
        *_down("registry", 3),
        figures=(
            Figure("unavailable", "ms", lambda e: e.since_injection("restart registry")),
            Figure("failed requests", "", lambda e: len(e.failed())),
            Figure("p99 during", "ms", lambda e: e.percentile(99)),
        ),
        quick=True,
    ),
    _row(
        2,
        "discovery",
        "discovery is killed three times",
        partial(_then_changes, lambda world: crash_actor("discovery", 3, world, None)),
        KNOWN,
        at_least(lambda e: e.count("restart discovery"), 3, "each crash is one restart"),
        fact_is("crash_lines", 3, "C7 one log line for each crash", always=False),
        figures=(RECONVERGED,),
    ),
    _row(
        14,
        "etcd-kill",
        "etcd is killed and started again",
        _etcd(EtcdKill),
        KNOWN,
        NO_CRASH,
        seconds=2.0,
    ),
    _row(
        15,
        "etcd-freeze",
        "etcd freezes, its connections stay open",
        _etcd(EtcdFreeze),
        KNOWN,
        NO_CRASH,
        at_least(
            lambda e: e.since_injection("stale"), 1.0, "found by a progress deadline, not by TCP"
        ),
        figures=(STALE, RECONVERGED),
        seconds=20.0,
    ),
    _row(
        16,
        "partition",
        "no packet to etcd or back",
        _net(Partition),
        KNOWN,
        NO_CRASH,
        SEEN_THROUGH,
        seconds=3.0,
    ),
    _row(
        16,
        "partition-up",
        "no packet to etcd",
        _net(Partition, directions=("up",)),
        KNOWN,
        NO_CRASH,
        SEEN_THROUGH,
        seconds=3.0,
    ),
    _row(
        16,
        "partition-down",
        "no packet from etcd",
        _net(Partition, directions=("down",)),
        KNOWN,
        NO_CRASH,
        seconds=3.0,
        quick=True,
    ),
    _row(
        16,
        "etcd-reset",
        "etcd's connections are reset",
        _net(ResetPeer),
        KNOWN,
        NO_CRASH,
        seconds=2.0,
    ),
    _row(
        16,
        "etcd-latency",
        "500 ms more to etcd",
        _net(Latency, 0.5, 0.1),
        KNOWN,
        NO_CRASH,
        SEEN_THROUGH,
        seconds=3.0,
    ),
    _row(
        16,
        "etcd-slicer",
        "etcd's answers come in pieces of 7 bytes",
        _net(Slicer, 7, 0.0005),
        KNOWN,
        NO_CRASH,
        SEEN_THROUGH,
        seconds=2.0,
    ),
    _row(
        16, "etcd-half-close", "etcd hears the end of our stream", _net(HalfClose), KNOWN, NO_CRASH
    ),
    _row(
        17,
        "compaction",
        "history is compacted during an outage, a model goes, one comes",
        _compaction,
        KNOWN,
        fact_is("missed_deletes", 0, "no delete is missed", always=False),
        failures=all_failures_are("status 404", BETA),
        figures=(RECONVERGED, Figure("missed deletes", "", lambda e: e.fact("missed_deletes"))),
        seconds=2.0,
        quick=True,
    ),
    _row(
        18,
        "lease",
        "a lease expires",
        partial(_then_put_back, _lease),
        KNOWN,
        no_failures(ALPHA),
        at_least(_dropped, 1, "its model is dropped"),
        failures=all_failures_are("status 404", BETA),
        figures=(Figure("models dropped", "", _dropped), RECONVERGED),
    ),
    _row(
        18,
        "garbage",
        "eight entries of garbage",
        _garbage,
        KNOWN,
        fact_is("quarantined", 8, "each is quarantined, and no good one", always=False),
        figures=(Figure("quarantined", "", lambda e: e.fact("quarantined")), RECONVERGED),
    ),
    _row(
        19,
        "wiped",
        "etcd loses all its data and its revisions begin anew",
        _wiped,
        KNOWN,
        failures=all_failures_are("status 404"),
        figures=(Figure("models dropped at once", "", _dropped), RECONVERGED),
        seconds=2.0,
    ),
)
