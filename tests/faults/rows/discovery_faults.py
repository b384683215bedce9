"""What rows 1, 2 and 14 to 19 inject: each function makes the fault of one scenario."""

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
    EtcdGarbage,
    EtcdLeaseExpiry,
    EtcdWiped,
    Fault,
)
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.served import ALPHA, BETA, ServedWorld

__all__ = [
    "compaction_unseen",
    "crash_actor",
    "garbage_entries",
    "lease_expiry",
    "on_etcd",
    "on_net",
    "then_changes",
    "then_put_back",
    "wiped_data",
]

GAMMA: Final = "gamma"
CONVERGE: Final = 30.0
"""Seconds within which what happened meanwhile must be known."""


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


def then_changes(
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
        note_convergence(world, doing, before | {GAMMA})

    doing = Doing(fault.name, lambda _facts: fault.inject(), end, **fault.parameters)
    return doing


def then_put_back(make: Callable[[ServedWorld], Fault], world: ServedWorld, _rng: Any) -> Fault:
    """A fault that takes entries away; workers announce them again when it is over."""
    fault = make(world)
    everything = next(iter(world.extra["allowed_models"]))
    gone = [everything - {ALPHA}, everything - {BETA}, everything - {ALPHA, BETA}]
    world.extra["allowed_models"] = {everything, *gone}

    def end() -> None:
        fault.heal()
        world.announce_all()
        note_convergence(world, doing, everything)

    doing = Doing(fault.name, lambda _facts: fault.inject(), end, **fault.parameters)
    return doing


def compaction_unseen(world: ServedWorld, _rng: Any) -> Fault:
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
        note_convergence(world, doing, after)
        doing.facts["missed_deletes"] = int(BETA in (world.models() or ()))
        # So that the load comes to rest.
        world.announce(BETA, "w1", world.worker_proxies[-1].address)
        world.extra["allowed_models"].add(before | {GAMMA})
        world.models_become({*before, GAMMA}, CONVERGE)

    doing = Doing("compaction during an outage", begin, end)
    return doing


def wiped_data(world: ServedWorld, _rng: Any) -> Fault:
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
        note_convergence(world, doing, fixed | {BETA, GAMMA})
        world.announce_all()  # so that the load comes to rest
        world.models_become({*before, GAMMA}, CONVERGE)

    doing = Doing("etcd-wiped", lambda _facts: wiped.inject(), end)
    return doing


def lease_expiry(world: ServedWorld) -> Fault:
    lease = world.the_etcd.grant(60)
    key = f"/models/chat/{BETA}#w1"
    value = world.the_etcd.get(key)
    assert value is not None
    world.the_etcd.put(key, value, lease=lease)
    return EtcdLeaseExpiry(world.the_etcd, lease)


def garbage_entries(world: ServedWorld, rng: Any) -> Fault:
    garbage = EtcdGarbage(world.the_etcd, b"/models/chat/")
    fault = then_changes(lambda _world: garbage, world, rng)

    def begin(facts: dict[str, Any]) -> None:
        fault.inject()
        deadline = time.monotonic() + CONVERGE
        pause = threading.Event()
        while time.monotonic() < deadline:
            facts["quarantined"] = world.discovery().get("quarantined_count", 0)
            if facts["quarantined"] == 8:
                break
            pause.wait(0.05)

    doing = Doing("garbage in etcd", begin, lambda: heal_into(fault, doing))
    return doing


def heal_into(fault: Fault, doing: Doing) -> None:
    fault.heal()
    doing.facts.update(getattr(fault, "facts", {}))


def note_convergence(world: ServedWorld, doing: Doing, wanted: frozenset[str]) -> None:
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


def on_etcd(kind: Callable[[Any], Fault]) -> Any:
    return partial(then_changes, lambda world: kind(world.the_etcd), heal_first=True)


def on_net(kind: Callable[..., Fault], *arguments: Any, **named: Any) -> Any:
    return partial(then_changes, lambda world: kind(world.the_proxy, *arguments, **named))
