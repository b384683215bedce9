"""Rows 25 to 29: clients from hell. Everything here needs an address and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from actors.testing.faults import (
    Disconnect,
    Fault,
    FaultUnavailable,
    IdleConnections,
    Malformed,
    Said,
    Slowloris,
    SlowReader,
)
from actors.testing.faults.client import Phase
from tests.faults.answers import Broken, Question, judged, read_answer
from tests.faults.asking import ask_many
from tests.faults.evidence import Evidence
from tests.faults.invariants import Invariant, at_most, common, fact_is, no_failures
from tests.faults.load import Target, request_bytes
from tests.faults.rows.bad_bytes import (
    BAD_JSON,
    BAD_REQUESTS,
    LENIENT,
    REFUSED,
    Case,
    requests_for,
)
from tests.faults.scenario import Figure, Scenario
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.remote import inflight_at
from tests.faults.worlds.served import ServedWorld, hosted

__all__ = ["ROWS"]

FAMILY: Final = "clients"
MIB: Final = 1024 * 1024
LONG: Final = 8_000
"""Words of a long answer: nearly two megabytes as a stream."""
SHORT: Final = 1_000
LEAVING: Final = 20
"""Clients that leave: more than the load ever has in flight."""
STAY: Final = 0.02
LET_GO: Final = 5.0
"""Seconds for a server to notice that they left: less than it gives to who is only slow."""

CLEAN: Final = (*common("C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9"), no_failures())
P99: Final = Figure("p99 of others", "ms", lambda e: e.percentile(99))


def _grown(seen: Evidence) -> float:
    """MiB of memory that the process has grown by, at its peak."""
    if not seen.before.memory:
        return 0.0
    peak = max((s.values.get("rss", 0) for s in seen.samples), default=0)
    return max(0.0, (max(peak, seen.after.memory) - seen.before.memory) / MIB)


MEMORY: Final = Figure("memory grown", "MiB", _grown)


def _long_request(model: str, words: int = LONG) -> bytes:
    target = Target(model, stream=True)
    return request_bytes(target, " ".join(f"w{n}" for n in range(words)))


def _slow_readers(count: int, world: Any, _rng: Any) -> Fault:
    readers = SlowReader(world.address, _long_request(world.model), count=count)
    return _counting(readers, lambda facts: facts.update(slow=readers.open))


def _counting(fault: Fault, note: Callable[[dict[str, Any]], object]) -> Fault:
    """``fault``, with what is known of it noted once it is on."""

    def begin(facts: dict[str, Any]) -> None:
        fault.inject()
        note(facts)

    return Doing(fault.name, begin, fault.heal, **fault.parameters)


def _leave(phase: Phase, reset: bool, world: Any, _rng: Any) -> Fault:
    """Clients leave; whether the server lets go of them while the fault is still on.

    Who leaves later than the body has asked an engine that never ends by itself, where there is
    one: else its answer may be over before it is left.
    """
    twist = _NEVER_ENDING.get(phase) if isinstance(world, ServedWorld) else None
    fault = Disconnect(
        world.address,
        _long_request("victim" if twist else world.model, SHORT),
        phase,
        reset=reset,
        count=LEAVING,
        read=600,
        stay=STAY,
    )

    def begin(facts: dict[str, Any]) -> None:
        if twist:
            world.host.order("twist", fault=twist)
        files = world.vitals().files
        fault.inject()
        facts["left"] = LEAVING
        facts["kept"] = _kept(world, files)

    def end() -> None:
        if twist:
            world.host.order("untwist")

    return Doing(fault.name, begin, end, **fault.parameters)


_NEVER_ENDING: Final = {"waiting": "EngineHangs", "mid-answer": "EngineEndless"}


def _kept(world: Any, files: int) -> int:
    """Requests in flight, or descriptors more than ``files``, once there are few or time is up."""
    deadline, pause = time.monotonic() + LET_GO, threading.Event()
    while True:
        found: int = max(inflight_at(world.address), world.vitals().files - files)
        if found < LEAVING or time.monotonic() > deadline:
            return found
        pause.wait(0.05)


def _dribble(begin: bytes, dribble: bytes, count: int, world: Any, _rng: Any) -> Fault:
    loris = Slowloris(world.address, begin, dribble, count=count, every=0.1)
    return _counting(loris, lambda facts: facts.update(dribbling=loris.open))


def _idle(count: int, world: Any, _rng: Any) -> Fault:
    idle = IdleConnections(world.address, count)

    def begin(facts: dict[str, Any]) -> None:
        try:
            idle.inject()
        except OSError as error:
            raise FaultUnavailable(f"can't hold {count} connections: {error}") from None
        facts["idle"] = idle.open
        facts["newcomer"] = ask_many(world.address, [Target(world.model, any_text=True)], "a", 10.0)

    return Doing(idle.name, begin, idle.heal, count=count)


def _malformed(
    cases: Callable[[str], tuple[Case, ...]],
    right: Callable[[Said], str | None],
    world: Any,
    _rng: Any,
) -> Fault:
    fault = Malformed(world.address, cases(world.model), wait=5.0)

    def begin(facts: dict[str, Any]) -> None:
        fault.inject()
        wrong = {said.case: how for said in fault.heard if (how := right(said)) is not None}
        facts["wrong"] = wrong
        facts["sent"] = len(fault.heard)

    return Doing(fault.name, begin, fault.heal, cases=len(cases(world.model)))


def _refused(said: Said) -> str | None:
    """A request that HTTP forbids is refused, and the connection is not used any more."""
    if said.status not in REFUSED:
        return f"status {said.status}"
    return "neither answered nor closed" if said.status == 0 and not said.ended else None


def _told_400(allowed: frozenset[int], said: Said) -> str | None:
    """A body that is no request is told so in OpenAI's shape."""
    try:
        answer = read_answer(said.answer)
    except Broken as broken:
        return str(broken)
    if answer is None or answer.status not in allowed:
        return f"status {said.status}"
    if answer.status == 200:
        return None
    how = judged(Question("", stream=False, text=None), answer)
    return None if how == f"status {answer.status}" else how


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
        partial(_slow_readers, 8),
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
            partial(_leave, phase, reset),
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
        partial(_dribble, b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n", b"X: a\r\n", 100),
        at_most(lambda e: e.percentile(99), 1000.0, "others are answered within 1 s"),
        figures=(Figure("dribbling", "", lambda e: e.fact("dribbling")), P99),
        seconds=3.0,
    ),
    _row(
        27,
        "slow-bodies",
        "a hundred clients dribble bodies",
        partial(
            _dribble,
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
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
        partial(_idle, 1000),
        at_most(lambda e: e.percentile(99), 2000.0, "others are answered within 2 s"),
        fact_is("newcomer", ["ok"], "there is room for one more", always=False),
        figures=(Figure("idle connections", "", lambda e: e.fact("idle")), P99),
        seconds=3.0,
    ),
    _row(
        28,
        "bad-http",
        f"{len(BAD_REQUESTS)} requests that HTTP forbids, or that are too large",
        partial(_malformed, lambda _model: BAD_REQUESTS, _refused),
        NONE_WRONG,
        at_most(_grown, 64.0, "memory is flat"),
        figures=(SENT, MEMORY),
        quick=True,
    ),
    _row(
        29,
        "bad-json",
        f"{len(BAD_JSON)} bodies that are no request",
        partial(_malformed, partial(requests_for, cases=BAD_JSON), partial(_told_400, NO_500)),
        NONE_WRONG,
        figures=(SENT,),
        quick=True,
    ),
    _row(
        29,
        "odd-json",
        "bodies that some accept and some don't",
        partial(
            _malformed,
            partial(requests_for, cases=LENIENT),
            partial(_told_400, LAX),
        ),
        NONE_WRONG,
        figures=(SENT,),
    ),
)
