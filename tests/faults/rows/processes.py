"""Rows 3, 30, 32, 33, 35 to 37: the process and what it lives on."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

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
from tests.faults.rows.discovery_faults import crash_actor
from tests.faults.rows.endings import (
    end,
    end_during_outage,
    end_during_restart,
    end_during_start,
)
from tests.faults.rows.log_faults import (
    full_disk,
    log_gone,
    log_stalls,
    to_full_disk,
    with_log_pipe,
)
from tests.faults.rows.process_faults import (
    cpu_while_exhausted,
    freeze_and_change,
    idle_files,
    kill_loop,
    memory,
    ready_again,
)
from tests.faults.scenario import Figure, Scenario
from tests.faults.worlds.served import discovered, hosted

__all__ = ["ROWS"]

FAMILY: Final = "process"

CLEAN: Final = common("C1", "C3", "C4", "C5", "C6", "C8", "C9")
CPU: Final = Figure(
    "more CPU while exhausted",
    "%",
    cpu_while_exhausted,
    before="what the load itself takes is subtracted",
)
FAILED: Final = Figure("failed requests", "", lambda e: len(e.failed()))
OUTAGE: Final = Figure("outage", "s", Evidence.outage)
GONE: Final = "refused|cut|status 503"
"""What a client may meet while the process is on its way out, or gone."""


def _lost(seen: Evidence) -> float:
    """Requests that were taken and then neither answered nor refused in words."""
    return sum(r.outcome in {"cut", "late"} for r in seen.requests)


def _row(row: int, key: str, title: str, fault: Any, *more: Invariant, **settings: Any) -> Scenario:
    figures = settings.pop("figures", (FAILED, OUTAGE))
    base = settings.pop("clean", CLEAN)
    stage = settings.pop("stage", hosted)
    return Scenario(row, key, title, FAMILY, stage, fault, (*base, *more), figures, **settings)


def _ends(key: str, title: str, fault: Any, *more: Invariant, **settings: Any) -> Scenario:
    """A scenario in which the process ends."""
    return _row(
        35,
        key,
        title,
        fault,
        all_failures_are(GONE),
        at_most(_lost, 0, "no request is lost that was taken"),
        fact_is("code_wanted", True, "the exit code is the promised one", always=False),
        *more,
        clean=common("C1", "C3", "C8"),
        figures=(
            Figure("drain", "s", lambda e: e.fact("exit_seconds") if not e.control else 0),
            Figure("requests lost", "", _lost),
        ),
        seconds=0.2,
        **settings,
    )


def _killed(key: str, what: str, fault: Any, child: str, *more: Invariant) -> Scenario:
    """Row 3: a part of the server dies; connections and streams belong to none of them."""
    path = f"restart serving/{child}"
    return _row(
        3,
        key,
        f"{what} is killed three times",
        fault,
        no_failures(),
        at_least(lambda e: e.count(path), 3, "each crash is one restart"),
        at_most(lambda e: e.count(path), 3, "and no more than one"),
        fact_is("crash_lines", 3, "C7 one log line for each crash", always=False),
        *more,
        figures=(Figure("down", "ms", lambda e: e.since_injection(path)), FAILED),
        quick=key == "loop-thread",  # the others come with it
    )


ROWS: Final = (
    _killed("listener", "the HTTP server's actor", partial(crash_actor, "http", 3), "http"),
    _killed(
        "eventloop",
        "the keeper of the event loop",
        partial(crash_actor, "eventloop", 3),
        "eventloop",
        # What comes after it in its supervisor restarts with it.
        at_least(lambda e: e.count("restart serving/http"), 3, "the server restarts with it"),
    ),
    _killed("loop-thread", "the thread of the event loop", kill_loop, "eventloop"),
    _row(
        30,
        "files",
        "no file descriptor is left, and clients keep coming",
        idle_files,
        all_failures_are("cut|refused|late|status 5.."),
        at_most(cpu_while_exhausted, 20.0, "the accept loop does not spin"),
        figures=(FAILED, CPU),
        seconds=2.0,
    ),
    _row(
        32,
        "memory",
        "24 MiB of memory are left, and four requests of 30 MiB come at once",
        memory,
        all_failures_are("cut|status 5.."),
        at_least(lambda e: e.fact("large_failed"), 1, "there is not memory enough for all"),
        at_most(lambda e: e.count("restart"), 0, "and no actor dies of that"),
        figures=(FAILED, OUTAGE, Figure("large failed", "", lambda e: e.fact("large_failed"))),
        seconds=2.0,
    ),
    _row(
        33,
        "log-closed",
        "the reader of the log is gone",
        log_gone,
        no_failures(),
        stage=with_log_pipe,
        seconds=2.0,
    ),
    _row(
        33,
        "log-stalled",
        "the reader of the log stalls",
        log_stalls,
        no_failures(),
        at_most(lambda e: e.percentile(99), 1000.0, "answers don't wait for the log"),
        fact_is("failing", ["status 500"] * 4, "nor do failures", always=False),
        stage=with_log_pipe,
        seconds=2.0,
    ),
    _row(
        33,
        "log-full",
        "the disk that holds the log is full",
        full_disk,
        no_failures(),
        stage=to_full_disk,
        figures=(Figure("full disks", "", lambda e: e.fact("full")), FAILED),
    ),
    _ends("sigterm", "SIGTERM under load", partial(end, 1), quick=True),
    _ends("sigterm-twice", "SIGTERM twice, with an endless stream", partial(end, 2)),
    _ends("sigterm-restart", "SIGTERM just after a restart of HTTP", end_during_restart),
    _ends(
        "sigterm-outage",
        "SIGTERM while etcd is away",
        end_during_outage,
        at_most(
            lambda e: e.fact("stuck_lines"), 0, "discovery ends at once, whatever it waits for"
        ),
        stage=discovered,
    ),
    _row(
        35,
        "sigterm-start",
        "SIGTERM during the start",
        end_during_start,
        no_failures(),
        fact_is("start_ok", True, "it ends with 0, or by the signal", always=False),
        at_most(lambda e: e.fact("start_stop_seconds"), 10.0, "within its budget"),
        figures=(Figure("slowest end", "s", lambda e: e.fact("start_stop_seconds")),),
        seconds=0.2,
    ),
    _row(
        36,
        "sigkill",
        "SIGKILL, and a start one second later",
        ready_again,
        all_failures_are("refused|cut|status 404|status 503"),
        fact_is("came_back", True, "it comes back at the same port", always=False),
        clean=common("C1", "C3", "C5", "C8", "C9"),
        stage=discovered,
        figures=(OUTAGE, Figure("ready after start", "ms", lambda e: e.fact("ready_ms"))),
        patience=30.0,
    ),
    _row(
        37,
        "sigstop",
        "the process itself is frozen for 3 s, a model comes meanwhile",
        freeze_and_change,
        no_failures(),
        fact_is("caught_up", True, "it catches up with etcd", always=False),
        stage=discovered,
        figures=(Figure("reconverged", "ms", lambda e: e.fact("reconverge_ms")), OUTAGE),
        seconds=3.0,
    ),
)
