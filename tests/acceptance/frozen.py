"""One of four workers is stopped (SIGSTOP) under load, and continued: clients don't notice.

The kernel still accepts connections for a stopped process, so nothing but its silence shows it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from tests.acceptance.measures import between, failures, milliseconds
from tests.acceptance.report import Report, Settings
from tests.acceptance.stage import Stage, pause
from tests.acceptance.upstreams import Upstreams
from tests.support.waiting import eventually

__all__ = ["run"]

RATE = 60.0
FIRST_BYTE = 1.0
"""Seconds that the entries give an instance for its first byte."""
READMISSION = 45.0
"""Seconds at most from SIGCONT to its return: the longest time out is 30 s, then a probe."""
MOST = 2.0
"""The p99 during the fault as a multiple of the one before: noise of the machine is within it."""
NOISE = 10.0
"""Milliseconds of p99 that are no difference on a machine that others use too."""


def run(report: Report, settings: Settings) -> None:
    """A third of the time before, then SIGSTOP for all of it, then until it is re-admitted."""
    with ExitStack() as stack:
        workers = [stack.enter_context(Upstreams(1, 0.01)) for _ in range(4)]
        stage = stack.enter_context(Stage())
        stage.announce([each.urls[0] for each in workers], timeouts={"first_byte": FIRST_BYTE})
        load, begun = stage.load(RATE), time.monotonic()
        load.start()
        pause(settings.seconds / 3)
        frozen_at = time.monotonic() - begun
        workers[0].freeze()
        report.say("i0 is stopped")
        eventually(lambda: stage.moments, 20, "it is ejected")
        ejected_at = stage.moments[0][0] - begun
        report.figure("ejected after", ejected_at - frozen_at, "s")
        pause(max(0.0, frozen_at + settings.seconds - (time.monotonic() - begun)))
        thawed_at = time.monotonic() - begun
        workers[0].thaw()
        report.say("i0 goes on")
        came_back = eventually(
            lambda: any(
                "readmitted" in line for at, line in stage.moments if at - begun > thawed_at
            ),
            READMISSION,
            "it is re-admitted",
        )
        report.figure("re-admitted after", came_back, "s")
        pause(1.0)
        requests = load.stop()
        for at, line in stage.moments:
            report.say(f"at {at - begun:.1f} s: {line.partition(']')[2].strip()}")
    failed = failures(requests)
    report.promise(
        f"all {len(requests)} requests are answered well {dict(failed) or ''}", not failed
    )
    before = report.figure("p99 before", milliseconds(between(requests, 1.0, frozen_at)), "ms")
    touched = between(requests, frozen_at, ejected_at)
    report.figure("slowest before the ejection", milliseconds(touched, 1.0), "ms")
    during = between(requests, ejected_at, thawed_at)
    p99 = report.figure("p99 after the ejection", milliseconds(during), "ms")
    report.figure("ratio", p99 / before)
    report.promise(
        "after the ejection the p99 is as before", p99 <= max(MOST * before, before + NOISE)
    )
