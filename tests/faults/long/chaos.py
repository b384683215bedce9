"""One run: faults from a seed, then the question whether the registry is what etcd holds."""

from __future__ import annotations

import base64
import json
import logging
import random
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from discovery.etcd.access import Endpoints
from discovery.etcd.watch import EtcdSource, WatchTimes
from discovery.source import Source
from tests.faults.long.etcd_faults import FAULTS, Stage
from tests.faults.long.front_end import FrontEnd
from tests.faults.long.report import Report, Settings
from tests.faults.long.sabotage import SABOTAGES
from tests.faults.long.writers import Writers, entry
from tests.support.etcd import EtcdServer
from tests.support.proxy import TcpProxy
from tests.support.waiting import eventually

__all__ = ["Outcome", "Recovery", "default_source", "play", "run", "show"]

PROBE: Final = "probe"
"""The model whose change after each fault is waited for."""
DEADLINE: Final = 60.0
"""Seconds for a change after a fault; a freeze is noticed in 15 s, the backoff is 5 s."""
SETTLE: Final = 10.0
"""Seconds for the last leases to run out and the last changes to arrive."""

MakeSource = Callable[[str], Source]
"""From the endpoint to the source under test."""


@dataclass(frozen=True)
class Recovery:
    """How long after the end of a fault a change of then was in the registry."""

    fault: str
    seconds: float


@dataclass
class Outcome:
    """What came out. ``failures`` is empty if discovery kept its promises."""

    seed: int
    recoveries: list[Recovery] = field(default_factory=list[Recovery])
    writes: int = 0
    drops: int = 0
    resyncs: int = 0
    repairs: int = 0
    entries: int = 0
    failures: list[str] = field(default_factory=list[str])


def default_source(endpoint: str) -> Source:
    """The real one; its planned snapshot comes every few seconds, so that runs see it too."""
    return EtcdSource(Endpoints.parse(endpoint), b"/models/", times=WatchTimes(max_age=7.0))


def run(report: Report, settings: Settings) -> None:
    """Twenty writers change an etcd that is broken at random, behind a proxy, for the seconds.

    In the end the registry must hold what etcd holds, and no model whose key stayed may ever have
    left. ``settings.sabotage`` breaks the watch loop instead: then this must fail.
    """
    logging.disable(logging.WARNING)
    try:
        outcome = play(
            settings.seconds,
            settings.seed,
            longest=settings.longest,
            make_source=SABOTAGES.get(settings.sabotage, default_source),
            say=report.say,
        )
    finally:
        logging.disable(logging.NOTSET)
    show(report, outcome)


def show(report: Report, outcome: Outcome) -> None:
    """State the recovery times of each fault, the counts, and the promise."""
    for fault in FAULTS:
        times = [each.seconds * 1000 for each in outcome.recoveries if each.fault == fault]
        if times:
            report.figure(f"{fault}: recoveries", len(times))
            report.figure(f"{fault}: median", statistics.median(times), "ms")
            report.figure(f"{fault}: longest", max(times), "ms")
    for name in ("writes", "drops", "resyncs", "repairs", "entries"):
        report.figure(name, getattr(outcome, name))
    for failure in outcome.failures:
        report.promise(failure, held=False)
    if not outcome.failures:
        report.promise(f"registry == etcd, 0 wrong deletes (seed {outcome.seed})", held=True)


def play(
    seconds: float,
    seed: int,
    *,
    longest: float = 18.0,
    faults: Sequence[str] = tuple(FAULTS),
    make_source: MakeSource = default_source,
    deadline: float = DEADLINE,
    start_within: float = 30.0,
    say: Callable[[str], None] = lambda _text: None,
) -> Outcome:
    """Break things for ``seconds`` on the main thread; outages last ``longest`` seconds at most."""
    outcome, rng = Outcome(seed), random.Random(seed)
    with EtcdServer() as etcd, TcpProxy(("127.0.0.1", etcd.port)) as proxy:
        writers = Writers(etcd, seed)
        steady = writers.put_steady()
        with FrontEnd(make_source(f"127.0.0.1:{proxy.port}")) as front:
            eventually(lambda: steady <= {*front.guard.held}, start_within, "the steady models")
            watch = _Absence(front, steady)
            with writers, watch:
                stage = Stage(etcd, proxy, rng, longest)
                _break(stage, front, outcome, time.monotonic() + seconds, faults, deadline, say)
            _judge(etcd, front, outcome, watch)
            outcome.writes = writers.writes
    return outcome


def _break(
    stage: Stage,
    front: FrontEnd,
    outcome: Outcome,
    until: float,
    faults: Sequence[str],
    deadline: float,
    say: Callable[[str], None],
) -> None:
    """Faults, one after the other; each is followed by a change that must arrive."""
    number = 0
    while time.monotonic() < until:
        number += 1
        fault = stage.rng.choice(faults)
        FAULTS[fault](stage)
        stage.etcd.put(*entry(PROBE, number))
        url = f"http://127.0.0.1:{number}/v1"
        try:
            waited = eventually(lambda: front.guard.held.get(PROBE) == url, deadline)  # noqa: B023  # called at once
        except AssertionError:
            outcome.failures.append(f"after '{fault}' a change did not arrive in {deadline} s")
            return
        outcome.recoveries.append(Recovery(fault, waited))
        say(f"{fault:<26} {waited * 1000:8.0f} ms")
        stage.pause(0.1, 1.0)


def _judge(etcd: EtcdServer, front: FrontEnd, outcome: Outcome, watch: _Absence) -> None:
    """Compare once nobody writes any more and the leases have run out."""

    def equal() -> bool:
        return front.guard.held == _content(etcd)

    try:
        eventually(equal, SETTLE)
    except AssertionError:
        here, there = front.guard.held, _content(etcd)
        names = sorted(n for n in here.keys() | there.keys() if here.get(n) != there.get(n))
        outcome.failures.append(f"registry and etcd differ in {len(names)}: {names[:10]}")
    wrong = sorted({*front.guard.wrong, *watch.missing})
    if wrong:
        outcome.failures.append(
            f"{len(wrong)} models left although their keys stayed: {wrong[:10]}"
        )
    status = front.board.status
    outcome.drops, outcome.entries = front.guard.drops, status.entries
    outcome.resyncs, outcome.repairs = status.resyncs, status.repairs


def _content(etcd: EtcdServer) -> dict[str, str]:
    """Model to URL, as etcd holds it now."""
    answer = etcd.call("kv/range", key=b"/models/", range_end=b"/models0")
    values = [json.loads(base64.b64decode(pair["value"])) for pair in answer.get("kvs", [])]
    return {value["name"]: value["endpoint"]["url"] for value in values}


class _Absence:
    """Looks all the time whether a steady model is missing; a context manager."""

    def __init__(self, front: FrontEnd, steady: set[str]) -> None:
        self._front: Final = front
        self._steady: Final = steady
        self._stop: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._look, daemon=True)
        self.missing: set[str] = set()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_exc: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            self.missing |= self._steady - {*self._front.guard.held}
