"""One of four workers is stopped (SIGSTOP) under load, and continued: clients don't notice.

The kernel still accepts connections for a stopped process, so nothing but its silence shows it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack

from tests.faults.evidence import Request
from tests.faults.long.measures import between, failures, milliseconds
from tests.faults.long.report import Report, Settings
from tests.faults.long.stage import Stage, pause
from tests.faults.long.upstreams import Upstreams
from tests.support.waiting import eventually

__all__ = ["run"]

RATE = 60.0
FIRST_BYTE = 1.0
"""Seconds that the entries give an instance for its first byte."""
READMISSION = 45.0
"""Seconds at most from SIGCONT to its return: the longest time out is 30 s, then a probe."""
MOST = 2.0
"""Its p99 as a multiple of the control's, which is measured in the same seconds."""
NOISE = 10.0
"""Milliseconds of p99 that are no difference on a machine that others use too."""


def run(report: Report, settings: Settings) -> None:
    """A third of the time before, then SIGSTOP for all of it, then until it is re-admitted.

    A second front-end, under the same load, has the other three workers only: the control.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(Upstreams(1, 0.01)) for _ in range(4)]
        urls = [each.urls[0] for each in workers]
        stage, control = stack.enter_context(Stage()), stack.enter_context(Stage())
        for each, known in ((stage, urls), (control, urls[1:])):
            each.announce(known, timeouts={"first_byte": FIRST_BYTE})
        load, beside, begun = stage.load(RATE), control.load(RATE), time.monotonic()
        load.start()
        beside.start()
        pause(settings.seconds / 3)
        frozen_at = time.monotonic() - begun
        ejected_at, thawed_at = _freeze(report, stage, workers[0], settings.seconds)
        requests, controls = load.stop(), beside.stop()
        for at, line in stage.moments:
            report.say(f"at {at - begun:.1f} s: {line.partition(']')[2].strip()}")
    failed = failures(requests)
    report.promise(
        f"all {len(requests)} requests are answered well {dict(failed) or ''}", not failed
    )
    before = report.figure("p99 before", milliseconds(between(requests, 1.0, frozen_at)), "ms")
    touched = between(requests, frozen_at, ejected_at - begun)
    report.figure("slowest before the ejection", milliseconds(touched, 1.0), "ms")
    _compare(report, requests, controls, (ejected_at - begun, thawed_at - begun), before)


def _freeze(report: Report, stage: Stage, worker: Upstreams, seconds: float) -> tuple[float, float]:
    """Stop it for ``seconds``, and wait until it is back; when it was ejected, and continued."""
    begun = time.monotonic()
    worker.freeze()
    report.say("i0 is stopped")
    eventually(lambda: stage.moments, 20, "it is ejected")
    ejected_at = stage.moments[0][0]
    report.figure("ejected after", ejected_at - begun, "s")
    pause(max(0.0, begun + seconds - time.monotonic()))
    thawed_at = time.monotonic()
    worker.thaw()
    report.say("i0 goes on")

    def is_back() -> bool:
        return any("readmitted" in line for at, line in stage.moments if at > thawed_at)

    report.figure("re-admitted after", eventually(is_back, READMISSION, "it is back"), "s")
    pause(1.0)
    return ejected_at, thawed_at


def _compare(
    report: Report,
    requests: Sequence[Request],
    controls: Sequence[Request],
    span: tuple[float, float],
    before: float,
) -> None:
    p99 = report.figure("p99 after the ejection", milliseconds(between(requests, *span)), "ms")
    beside = report.figure("p99 of the control", milliseconds(between(controls, *span)), "ms")
    report.figure("ratio to before", p99 / before)
    report.figure("ratio to the control", p99 / beside)
    report.promise(
        "after the ejection the p99 is the control's", p99 <= max(MOST * beside, beside + NOISE)
    )
