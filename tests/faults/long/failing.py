"""Three of four instances fail with 500, 503, 429, a reset, a hang, or are slow; then all four.

While one is well every request is answered well. When all fail, retries stay within their budget.
"""

from __future__ import annotations

import time

from tests.faults.long.measures import between, failures, milliseconds
from tests.faults.long.report import Report, Settings
from tests.faults.long.stage import Stage, pause
from tests.faults.long.upstreams import FAILURES, Upstreams

__all__ = ["run"]

RATE = 100.0
"""Requests a second."""
SLOW = 0.3
"""Seconds that a slow instance takes: below the deadline of the first byte, so no failure."""
FAST = 0.005
"""Seconds that a well one takes."""
FIRST_BYTE = 0.5
"""Seconds after which a hanging instance counts as one that failed."""
RATIO, FLOOR, BURST = 0.2, 10.0, 100.0
"""The budget's promise: retries for each request, each second, and at once."""


def run(report: Report, settings: Settings) -> None:
    """An equal part of the time for each failure, for none, and for all at once."""
    part = settings.seconds / (len(FAILURES) + 2)
    with Upstreams(4, FAST) as upstreams, Stage() as stage:
        timeouts = {"first_byte": FIRST_BYTE}
        stage.announce(upstreams.urls, policy="round_robin", timeouts=timeouts)
        base = _spell(report, stage, upstreams, "well", 0, part)
        for number, mode in enumerate(FAILURES):
            # Another one is the well one each time: those that fail are in full use.
            p99 = _spell(report, stage, upstreams, mode, number % len(upstreams), part)
            report.figure(f"{mode} adds to p99", p99 - base, "ms")
        report.figure("ejections", stage.metric("pool_ejections"))
        report.figure("retries", stage.metric("pool_retries", 'outcome="retried"'))
        refused = stage.metric("pool_retries", 'outcome="budget_spent"')
        report.promise(f"{refused:g} retries are refused while one is well", refused == 0)
        _all_fail(report, stage, upstreams, part)


def _spell(
    report: Report, stage: Stage, upstreams: Upstreams, mode: str, well: int, seconds: float
) -> float:
    """All but ``well`` fail in ``mode`` under load, and recover; the 99th percentile in ms."""
    load = stage.load(RATE)
    load.start()
    others = [number for number in range(len(upstreams)) if number != well]
    for number in others:
        upstreams.be(number, mode, SLOW if mode == "slow" else FAST)
    pause(seconds)
    for number in others:
        upstreams.be(number, "well", FAST)
    requests = load.stop()
    failed = failures(requests)
    report.figure(f"{mode} slowest", milliseconds(requests, 1.0), "ms")
    p99 = report.figure(f"{mode} p99", milliseconds(between(requests, 0, seconds)), "ms")
    report.promise(
        f"{mode}: all {len(requests)} requests are answered well {dict(failed) or ''}",
        bool(requests) and not failed,
    )
    return p99


def _all_fail(report: Report, stage: Stage, upstreams: Upstreams, seconds: float) -> None:
    for number in range(len(upstreams)):
        upstreams.be(number, "500")
    before = sum(upstreams.seen())
    begun = time.monotonic()
    load = stage.load(RATE * 2)
    load.start()
    pause(seconds)
    requests = load.stop()
    took = time.monotonic() - begun  # the budget grows by the second, and a busy machine is late
    sent = sum(upstreams.seen()) - before
    allowed = (1 + RATIO) * len(requests) + FLOOR * took + BURST
    report.figure("all fail: requests of clients", len(requests))
    report.figure("all fail: requests to upstreams", sent)
    report.promise(
        f"the budget holds: {sent} <= 1.2 x {len(requests)} + {FLOOR:g} x {took:.1f} s + {BURST:g}",
        0 < sent <= allowed,
    )
    told = failures(requests)
    report.promise(
        f"each failure is a proper error {dict(told)}",
        len(requests) == sum(told.values()) and all(each.startswith("status 50") for each in told),
    )
