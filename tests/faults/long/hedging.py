"""One of four instances is slow: with ``hedge_after`` a second one is asked, and the p99 falls."""

from __future__ import annotations

from typing import Any

from tests.faults.long.measures import between, failures, milliseconds
from tests.faults.long.report import Report, Settings
from tests.faults.long.stage import Stage, pause
from tests.faults.long.upstreams import Upstreams
from tests.support.waiting import eventually

__all__ = ["run"]

RATE = 30.0
FAST, SLOW = 0.005, 0.5
PERCENTILE = 70
"""Below the three quarters that are fast, so that the time it stands for is a fast one's."""
WARM = 2.0
"""Seconds that do not count: a percentile needs some answers first."""


def run(report: Report, settings: Settings) -> None:
    """Half of the time without hedging, half with it."""
    with Upstreams(4, FAST) as upstreams, Stage() as stage:
        upstreams.be(0, "well", SLOW)
        plain = _spell(report, stage, upstreams, settings.seconds / 2)
        before = sum(upstreams.abandoned())
        hedged = _spell(report, stage, upstreams, settings.seconds / 2, hedge_after=PERCENTILE)
        asked = report.figure("hedges asked", stage.metric("pool_hedges", 'won="asked"'))
        second = report.figure("hedges won", stage.metric("pool_hedges", 'won="second"'))

        def closed() -> int:
            return sum(upstreams.abandoned()) - before

        eventually(lambda: closed() >= second, 5, "the losers' connections are closed")
        report.figure("connections closed on a slow answer", closed())
    report.promise("hedges are counted", 0 < second <= asked)
    report.figure("p99 without / with hedging", plain / hedged)
    report.promise("the p99 falls to less than half", hedged < plain / 2)


def _spell(
    report: Report, stage: Stage, upstreams: Upstreams, seconds: float, **fields: Any
) -> float:
    stage.announce(upstreams.urls, policy="round_robin", **fields)
    pause(0.2)
    load = stage.load(RATE)
    load.start()
    pause(WARM + seconds)
    requests = load.stop()
    name = "with hedging" if fields else "without"
    failed = failures(requests)
    report.promise(f"{name}: all {len(requests)} are well {dict(failed) or ''}", not failed)
    return report.figure(f"{name}: p99", milliseconds(between(requests, WARM, 1e9)), "ms")
