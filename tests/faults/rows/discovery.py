"""Rows 1, 2 and 14 to 19: the registry, discovery and etcd, on a real etcd behind a proxy."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from actors.testing.faults import (
    EtcdFreeze,
    EtcdKill,
    HalfClose,
    Latency,
    Partition,
    ResetPeer,
    Slicer,
)
from discovery.etcd.watch import WatchTimes
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
from tests.faults.rows.discovery_faults import (
    compaction_unseen,
    crash_actor,
    garbage_entries,
    lease_expiry,
    on_etcd,
    on_net,
    then_changes,
    then_put_back,
    wiped_data,
)
from tests.faults.scenario import Figure, Scenario
from tests.faults.worlds.served import ALPHA, BETA, discovered

__all__ = ["ROWS"]

FAMILY: Final = "discovery"

CLEAN: Final = common("C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9")
RECONVERGED: Final = Figure("reconverged", "ms", lambda e: e.fact("reconverge_ms"))
KNOWN: Final = fact_is("missing", [], "what changed meanwhile is known afterwards", always=False)
NO_CRASH: Final = at_most(lambda e: e.count("restart"), 0, "and no actor dies of it")
SEEN_THROUGH: Final = at_most(lambda e: e.count("stale"), 0, "and nothing is taken for an outage")
"""Of what is shorter than the time that etcd has to answer a ping."""
STALE: Final = Figure("seen as stale", "ms", lambda e: e.since_injection("stale"))


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
    first = () if seen.found is None else (seen.found,)
    listed = [s.values.get("models") for s in (*first, *seen.samples)]
    shown = [len(models) for models in listed if models is not None]
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
        partial(then_changes, lambda world: crash_actor("discovery", 3, world, None)),
        KNOWN,
        at_least(lambda e: e.count("restart discovery"), 3, "each crash is one restart"),
        fact_is("crash_lines", 3, "C7 one log line for each crash", always=False),
        figures=(RECONVERGED,),
    ),
    _row(
        14,
        "etcd-kill",
        "etcd is killed and started again",
        on_etcd(EtcdKill),
        KNOWN,
        NO_CRASH,
        seconds=2.0,
    ),
    _row(
        15,
        "etcd-freeze",
        "etcd freezes, its connections stay open",
        on_etcd(EtcdFreeze),
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
        on_net(Partition),
        KNOWN,
        NO_CRASH,
        SEEN_THROUGH,
        seconds=3.0,
    ),
    _row(
        16,
        "partition-up",
        "no packet to etcd",
        on_net(Partition, directions=("up",)),
        KNOWN,
        NO_CRASH,
        SEEN_THROUGH,
        seconds=3.0,
    ),
    _row(
        16,
        "partition-down",
        "no packet from etcd",
        on_net(Partition, directions=("down",)),
        KNOWN,
        NO_CRASH,
        seconds=3.0,
        quick=True,
    ),
    _row(
        16,
        "etcd-reset",
        "etcd's connections are reset",
        on_net(ResetPeer),
        KNOWN,
        NO_CRASH,
        seconds=2.0,
    ),
    _row(
        16,
        "etcd-latency",
        "500 ms more to etcd",
        on_net(Latency, 0.5, 0.1),
        KNOWN,
        NO_CRASH,
        SEEN_THROUGH,
        seconds=3.0,
    ),
    _row(
        16,
        "etcd-slicer",
        "etcd's answers come in pieces of 7 bytes",
        on_net(Slicer, 7, 0.0005),
        KNOWN,
        NO_CRASH,
        SEEN_THROUGH,
        seconds=2.0,
    ),
    _row(
        16,
        "etcd-half-close",
        "etcd hears the end of our stream",
        on_net(HalfClose),
        KNOWN,
        NO_CRASH,
    ),
    _row(
        17,
        "compaction",
        "history is compacted during an outage, a model goes, one comes",
        compaction_unseen,
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
        partial(then_put_back, lease_expiry),
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
        garbage_entries,
        KNOWN,
        fact_is("quarantined", 8, "each is quarantined, and no good one", always=False),
        figures=(Figure("quarantined", "", lambda e: e.fact("quarantined")), RECONVERGED),
    ),
    _row(
        19,
        "wiped",
        "etcd loses all its data and its revisions begin again",
        wiped_data,
        KNOWN,
        failures=all_failures_are("status 404"),
        figures=(Figure("models dropped at once", "", _dropped), RECONVERGED),
        seconds=WatchTimes().history_loss_grace
        + 2.0,  # what nobody announces again is dropped by then
    ),
)
