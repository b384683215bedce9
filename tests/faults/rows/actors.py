"""Rows 4 to 13, 31, 34, 38: faults inside an actor system, on the library alone."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from actors import Backoff
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
from tests.faults.rows.actor_faults import (
    crash_supervisor,
    cycle,
    fatal,
    flood,
    hang,
    jump,
    late,
    lost,
    no_threads,
    poison,
    reverse,
    start_hangs,
    start_never,
    start_once,
    stop_all,
    storm,
)
from tests.faults.scenario import Figure, Scenario
from tests.faults.worlds.tree import ASK, grown

__all__ = ["ROWS"]

FAMILY: Final = "actors"

CLEAN: Final = (
    # Fewer is no leak: an actor of somebody else's may end meanwhile, and stop_all() ends them all.
    at_most(lambda e: e.fact("actors_left"), 0, "C6 no actor is left behind"),
    at_most(lambda e: e.fact("threads_left"), 0, "C6 no thread is left behind"),
    fact_is("stopped", True, "C8 the tree stops within its budget"),
)
"""What holds of every tree afterwards."""
CALM: Final = (
    *common("C1", "C9"),
    no_failures("bystander"),
    fact_is("restarts_of_others", 0, "no other child is restarted"),
)
"""What holds where one actor fails and its siblings must not notice."""

RESTARTS: Final = Figure("restarts", "", lambda e: e.count("restart"))
GAVE_UP: Final = Figure("ms to give up", "ms", lambda e: e.since_injection("gave up"))


def _down_time(seen: Evidence) -> float:
    """Milliseconds from the injection to the victim's next incarnation."""
    return seen.since_injection("restart")


DOWN: Final = Figure("unavailable", "ms", _down_time)


def _row(row: int, key: str, title: str, fault: Any, *more: Invariant, **settings: Any) -> Scenario:
    """A scenario of this family: ``world`` are the settings of its tree."""
    world = settings.pop("world", {})
    figures = settings.pop("figures", (RESTARTS,))
    base = settings.pop("calm", CALM)
    return Scenario(
        row,
        key,
        title,
        FAMILY,
        partial(grown, **world),
        fault,
        (*base, *CLEAN, *more),
        figures,
        **settings,
    )


ROWS: Final = (
    _row(
        4,
        "hang",
        "an actor hangs",
        hang,
        all_failures_are("ActorCrashed", "victim"),
        at_most(lambda e: len(e.failed()), 1, "only those who asked the hung one get an error"),
        at_least(lambda e: e.count("abandoned"), 1, "it is found and abandoned"),
        at_most(lambda e: e.count("abandoned"), 1, "its successor is left alone"),
        at_most(
            # Ticks come every fraction of a second; the rest is room for a busy machine.
            lambda e: e.since_injection("abandoned"),
            1900.0,
            "found before an ask would time out",
        ),
        world={"hang_after": 0.3},
        figures=(
            Figure("detection", "ms", lambda e: e.since_injection("abandoned")),
            Figure("abandoned threads", "", lambda e: e.count("abandoned")),
        ),
        seconds=2.6,  # longer than an ask may take
        quick=True,
    ),
    _row(
        5,
        "poison",
        "a poisoned message, delivered five times",
        poison,
        no_failures("victim"),
        at_most(lambda e: e.count("restart victim"), 5, "one restart for each delivery, no loop"),
        at_least(lambda e: e.count("restart victim"), 5, "each delivery is a crash that is seen"),
        fact_is("crash_lines", 5, "C7 one log line for each crash", always=False),
        figures=(RESTARTS, DOWN),
        quick=True,
    ),
    _row(
        6,
        "start-once",
        "on_start raises once",
        start_once,
        no_failures("victim"),
        at_least(lambda e: e.count("restart victim"), 1, "it is up after one retry"),
        at_most(lambda e: e.count("restart victim"), 1, "and is started no oftener"),
        figures=(DOWN,),
    ),
    _row(
        6,
        "start-never",
        "on_start raises always",
        start_never,
        at_least(lambda e: e.count("gave up"), 1, "it gives up"),
        Invariant("siblings are stopped in reverse", reverse),
        world={"asked": False, "flags": {"intensity": 4, "period": 60.0}},
        calm=(),
        figures=(GAVE_UP,),
        quick=True,
    ),
    _row(
        7,
        "start-hangs",
        "on_start hangs once",
        start_hangs,
        no_failures("victim"),
        at_least(lambda e: e.count("restart victim"), 1, "start_within is enforced"),
        at_most(_down_time, 1500.0, "within start_within and the backoff"),
        world={"start_within": 0.3},
        figures=(DOWN,),
        seconds=2.5,
    ),
    _row(
        8,
        "storm",
        "killed every millisecond, intensity 5",
        storm,
        at_least(lambda e: e.count("gave up"), 1, "it gives up"),
        at_least(lambda e: e.count("ended victim"), 6, "not before intensity + 1"),
        at_most(lambda e: e.count("ended victim"), 6, "at intensity + 1 exactly"),
        world={"asked": False, "flags": {"intensity": 5}, "backoff": Backoff()},
        calm=(),
        figures=(GAVE_UP, RESTARTS),
        quick=True,
    ),
    _row(
        8,
        "storm-backoff",
        "killed every millisecond, backoff 50 ms doubled to 200 ms",
        storm,
        # 50 + 100 + 200 + 200 + …: in two seconds at most eleven, whatever is killed how often.
        at_most(lambda e: e.count("restart victim"), 12, "no oftener than the backoff allows"),
        at_least(lambda e: e.count("restart victim"), 4, "and it does come back each time"),
        world={"backoff": Backoff(0.05, cap=0.2, jitter=0.0)},
        figures=(RESTARTS,),
        seconds=2.0,
    ),
    *(
        _row(
            9,
            f"raise-{error.__name__}",
            f"{error.__name__} in a handler",
            partial(fatal, error),
            no_failures("victim"),
            fact_is("told", "an error", "the caller gets an error"),
            at_least(lambda e: e.count("restart victim"), 1, "the actor dies and is restarted"),
            fact_is("crash_lines", 1, "C7 one log line", always=False),
            figures=(RESTARTS, DOWN),
            seconds=0.4,
            quick=error is SystemExit,
        )
        for error in (SystemExit, MemoryError, RecursionError, KeyboardInterrupt)
    ),
    _row(
        10,
        "flood",
        "10^5 messages to an actor that takes 1 ms for each",
        flood,
        all_failures_are("MailboxFull|timeout", "victim"),
        at_most(lambda e: e.fact("held_up"), 0.5, "no sender is held up"),
        at_least(lambda e: e.fact("rejected"), 50_000, "what is too much is rejected"),
        at_most(
            lambda e: max((s.values["depth"] for s in e.samples), default=0),
            1000 + 8,
            "the mailbox stays bounded",
        ),
        at_most(lambda e: e.fact("stop_seconds"), 2.0, "a stop gets through"),
        world={"capacity": 1000},
        figures=(
            Figure("rejected", "", lambda e: e.fact("rejected")),
            Figure("stop", "ms", lambda e: e.fact("stop_seconds") * 1000.0),
            Figure("deepest", "", lambda e: max((s.values["depth"] for s in e.samples), default=0)),
        ),
    ),
    _row(
        11,
        "cycle",
        "A asks B asks A",
        cycle,
        no_failures("victim"),
        fact_is("told", "AskCycle", "the cycle is reported at once"),
        fact_is("members", 2, "with its members"),
        at_most(lambda e: e.fact("cycle_ms"), 1500.0, "and no caller waits for a timeout"),
        at_most(lambda e: e.fact("relayed"), 2, "the refused question is not asked again"),
        figures=(Figure("ask cycle found", "ms", lambda e: e.fact("cycle_ms")),),
        seconds=0.4,
        quick=True,
    ),
    _row(
        12,
        "lost-reply",
        "a reply is lost",
        lost,
        all_failures_are("timeout", "victim"),
        at_most(lambda e: len(e.failed()), 1, "one ask times out"),
        at_most(
            lambda e: max((r.took - ASK for r in e.failed()), default=0), 0.5, "it does so on time"
        ),
        at_most(lambda e: e.count("restart"), 0, "the actor lives on"),
        figures=(Figure("timed out", "", lambda e: len(e.failed())),),
        seconds=2.5,
    ),
    _row(
        12,
        "late-reply",
        "a reply comes after its timeout",
        late,
        all_failures_are("timeout", "victim"),
        at_most(lambda e: len(e.failed()), 1, "one ask times out, no other gets its answer"),
        at_most(lambda e: e.count("restart"), 0, "the actor lives on"),
        figures=(Figure("timed out", "", lambda e: len(e.failed())),),
        seconds=3.0,
    ),
    _row(
        13,
        "supervisor",
        "a supervisor crashes",
        crash_supervisor,
        all_failures_are("NotDelivered|ActorCrashed", "victim"),
        at_least(lambda e: e.count("restart inner"), 1, "its parent restarts the subtree"),
        fact_is("victims_alive", 1, "no orphan lives on beside the new child"),
        world={"nested": True},
        figures=(
            Figure("subtree down", "ms", lambda e: e.since_injection("restart inner")),
            Figure("orphans", "", lambda e: max(0, e.fact("victims_alive", 1) - 1)),
        ),
        quick=True,
    ),
    _row(
        31,
        "no-threads",
        "no thread can be started, three times",
        no_threads,
        no_failures("victim"),
        at_least(lambda e: e.count("restart victim"), 1, "it is up once there are threads"),
        at_most(lambda e: e.count("gave up"), 0, "the supervisor survives"),
        figures=(DOWN,),
        quick=True,
    ),
    *(
        _row(
            34,
            f"clock{hours:+d}h",
            f"the wall clock jumps by {hours:+d} h, and an actor is killed",
            partial(jump, hours * 3600.0),
            no_failures("victim"),
            at_most(_down_time, 1000.0, "no backoff is stretched"),
            at_most(lambda e: e.count("restart"), 1, "no timeout misfires"),
            figures=(DOWN,),
            world={"hang_after": 30.0},
            seconds=0.4,
        )
        for hours in (1, -1)
    ),
    _row(
        38,
        "stop-all",
        "the program calls ActorRegistry.stop_all()",
        stop_all,
        fact_is("ended", True, "the tree notices and ends or heals; it never hangs"),
        world={"asked": False},
        calm=(),
        figures=(Figure("noticed", "ms", lambda e: e.fact("end_ms")),),
        seconds=0.2,
        quick=True,
    ),
)
