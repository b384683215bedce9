"""Rows 25 to 29: clients from hell. Everything here needs an address and nothing else."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from tests.faults.evidence import Evidence
from tests.faults.invariants import Invariant, at_most, common, fact_is, no_failures
from tests.faults.rows.bad_bytes import (
    BAD_JSON,
    BAD_REQUESTS,
    LENIENT,
    requests_for,
)
from tests.faults.rows.client_faults import (
    LEAVING,
    dribble,
    idle,
    leave,
    malformed,
    refused,
    slow_readers,
    told_400,
)
from tests.faults.scenario import Figure, Scenario
from tests.faults.worlds.served import hosted

__all__ = ["ROWS"]

FAMILY: Final = "clients"
MIB: Final = 1024 * 1024

CLEAN: Final = (*common("C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9"), no_failures())
P99: Final = Figure("p99 of others", "ms", lambda e: e.percentile(99))


def _grown(seen: Evidence) -> float:
    """MiB of memory that the process has grown by, at its peak."""
    if not seen.before.memory:
        return 0.0
    peak = max((s.values.get("rss", 0) for s in seen.samples), default=0)
    return max(0.0, (max(peak, seen.after.memory) - seen.before.memory) / MIB)


MEMORY: Final = Figure("memory grown", "MiB", _grown)


def _row(row: int, key: str, title: str, fault: Any, *more: Invariant, **settings: Any) -> Scenario:
    figures = settings.pop("figures")
    return Scenario(
        row,
        key,
        title,
        FAMILY,
        hosted,
        fault,
        (*CLEAN, *more),
        figures,
        black_box=True,
        **settings,
    )


NONE_WRONG: Final = fact_is("wrong", {}, "each is refused as it must be", always=False)
SENT: Final = Figure("cases", "", lambda e: e.fact("sent"))
NO_500: Final = frozenset({400})
LAX: Final = frozenset({200, 400})

ROWS: Final = (
    _row(
        25,
        "slow-readers",
        "eight clients read their answers of megabytes a byte at a time",
        partial(slow_readers, 8),
        at_most(lambda e: e.percentile(99), 2000.0, "others are answered within 2 s"),
        at_most(_grown, 160.0, "memory is bounded"),
        figures=(Figure("slow readers", "", lambda e: e.fact("slow")), P99, MEMORY),
        seconds=3.0,
    ),
    *(
        _row(
            26,
            f"leave-{phase}{'-rst' if reset else ''}",
            f"twenty clients leave: {phase}{', with RST' if reset else ''}",
            partial(leave, phase, reset),
            at_most(lambda e: e.fact("kept"), LEAVING - 1, "the server lets go of who left"),
            figures=(Figure("clients that left", "", lambda e: e.fact("left")), P99),
            quick=phase == "mid-answer" and reset,
        )
        for phase in ("before-body", "mid-body", "waiting", "mid-answer")
        for reset in (False, True)
    ),
    _row(
        27,
        "slow-headers",
        "a hundred clients dribble headers",
        partial(
            dribble, b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n", b"X: a\r\n", 100
        ),
        at_most(lambda e: e.percentile(99), 1000.0, "others are answered within 1 s"),
        figures=(Figure("dribbling", "", lambda e: e.fact("dribbling")), P99),
        seconds=3.0,
    ),
    _row(
        27,
        "slow-bodies",
        "a hundred clients dribble bodies",
        partial(
            dribble,
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
            b" ",
            100,
        ),
        at_most(lambda e: e.percentile(99), 3000.0, "others are answered within 3 s"),
        figures=(Figure("dribbling", "", lambda e: e.fact("dribbling")), P99),
        seconds=3.0,
        quick=True,
    ),
    _row(
        27,
        "idle",
        "a thousand clients connect and say nothing",
        partial(idle, 1000),
        at_most(lambda e: e.percentile(99), 2000.0, "others are answered within 2 s"),
        fact_is("newcomer", ["ok"], "there is room for one more", always=False),
        figures=(Figure("idle connections", "", lambda e: e.fact("idle")), P99),
        seconds=3.0,
    ),
    _row(
        28,
        "bad-http",
        f"{len(BAD_REQUESTS)} requests that HTTP forbids, or that are too large",
        partial(malformed, lambda _model: BAD_REQUESTS, refused),
        NONE_WRONG,
        at_most(_grown, 64.0, "memory is flat"),
        figures=(SENT, MEMORY),
        quick=True,
    ),
    _row(
        29,
        "bad-json",
        f"{len(BAD_JSON)} bodies that are no request",
        partial(malformed, partial(requests_for, cases=BAD_JSON), partial(told_400, NO_500)),
        NONE_WRONG,
        figures=(SENT,),
        quick=True,
    ),
    _row(
        29,
        "odd-json",
        "bodies that some accept and some don't",
        partial(
            malformed,
            partial(requests_for, cases=LENIENT),
            partial(told_400, LAX),
        ),
        NONE_WRONG,
        figures=(SENT,),
    ),
)
