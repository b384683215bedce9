"""What rows 25 to 29 inject: each function makes the fault of one scenario."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
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
from tests.faults.load import Target, request_bytes
from tests.faults.rows.bad_bytes import (
    REFUSED,
    Case,
)
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.remote import inflight_at
from tests.faults.worlds.served import ServedWorld

__all__ = [
    "LEAVING",
    "dribble",
    "idle",
    "leave",
    "malformed",
    "refused",
    "slow_readers",
    "told_400",
]

LONG: Final = 8_000
"""Words of a long answer: nearly two megabytes as a stream."""
SHORT: Final = 1_000
LEAVING: Final = 20
"""Clients that leave: more than the load ever has in flight."""
STAY: Final = 0.02
LET_GO: Final = 5.0
"""Seconds for a server to notice that they left: less than it gives to who is only slow."""


def _long_request(model: str, words: int = LONG) -> bytes:
    target = Target(model, stream=True)
    return request_bytes(target, " ".join(f"w{n}" for n in range(words)))


def slow_readers(count: int, world: Any, _rng: Any) -> Fault:
    readers = SlowReader(world.address, _long_request(world.model), count=count)
    return _counting(readers, lambda facts: facts.update(slow=readers.open))


def _counting(fault: Fault, note: Callable[[dict[str, Any]], object]) -> Fault:
    """``fault``, with what is known of it noted once it is on."""

    def begin(facts: dict[str, Any]) -> None:
        fault.inject()
        note(facts)

    return Doing(fault.name, begin, fault.heal, **fault.parameters)


def leave(phase: Phase, reset: bool, world: Any, _rng: Any) -> Fault:
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


def dribble(begin: bytes, dribble: bytes, count: int, world: Any, _rng: Any) -> Fault:
    loris = Slowloris(world.address, begin, dribble, count=count, every=0.1)
    return _counting(loris, lambda facts: facts.update(dribbling=loris.open))


def idle(count: int, world: Any, _rng: Any) -> Fault:
    idle = IdleConnections(world.address, count)

    def begin(facts: dict[str, Any]) -> None:
        try:
            idle.inject()
        except OSError as error:
            raise FaultUnavailable(f"can't hold {count} connections: {error}") from None
        facts["idle"] = idle.open
        facts["newcomer"] = ask_many(world.address, [Target(world.model, any_text=True)], "a", 10.0)

    return Doing(idle.name, begin, idle.heal, count=count)


def malformed(
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


def refused(said: Said) -> str | None:
    """A request that HTTP forbids is refused, and the connection is not used any more."""
    if said.status not in REFUSED:
        return f"status {said.status}"
    return "neither answered nor closed" if said.status == 0 and not said.ended else None


def told_400(allowed: frozenset[int], said: Said) -> str | None:
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
