"""Rows 20 to 24: what generates misbehaves, while other models go on."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from actors.testing.faults.client import Disconnect
from actors.testing.faults.fault import Fault
from tests.faults.asking import ask_many
from tests.faults.evidence import Evidence
from tests.faults.host import GARBAGE
from tests.faults.invariants import Invariant, at_least, at_most, common, fact_is, no_failures
from tests.faults.load import Target, request_bytes
from tests.faults.scenario import Figure, Scenario
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.served import ServedWorld, hosted

__all__ = ["ROWS"]

FAMILY: Final = "engines"
VICTIM: Final = (Target("victim", any_text=True), Target("victim", stream=True, any_text=True))
TEXT: Final = "one two three"
SILENCE: Final = 1.0
"""Seconds of silence that the host accepts of an engine, in the scenarios about silence."""

CLEAN: Final = (*common("C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9"), no_failures())
FREED: Final = Figure("s until its generator ended", "s", lambda e: e.fact("freed_s"))


def _twisted(
    fault: str, arguments: dict[str, Any], timeout: float, world: ServedWorld, _rng: Any
) -> Fault:
    """A fault in the victim, and one unary and one streamed request that meet it."""

    def begin(facts: dict[str, Any]) -> None:
        world.host.order("twist", fault=fault, **arguments)
        facts["met"] = ask_many(world.address, VICTIM, TEXT, timeout)

    return Doing(fault, begin, partial(world.host.order, "untwist"), **arguments)


def _garbage(world: ServedWorld, _rng: Any) -> Fault:
    def begin(facts: dict[str, Any]) -> None:
        met: dict[str, list[str]] = {}
        for item in GARBAGE:
            world.host.order("twist", fault="EngineGarbage", items=[item])
            met[item] = ask_many(world.address, VICTIM, TEXT, 10.0)
        facts["met"] = [outcome for pair in met.values() for outcome in pair]
        facts["garbage"] = met

    return Doing("garbage", begin, partial(world.host.order, "untwist"), items=len(GARBAGE))


def _left_alone(fault: str, arguments: dict[str, Any], world: ServedWorld, _rng: Any) -> Fault:
    """Clients start streams and leave; how long until the generators are closed."""

    def begin(facts: dict[str, Any]) -> None:
        world.host.order("twist", fault=fault, **arguments)
        request = request_bytes(Target("victim", stream=True), TEXT)
        Disconnect(world.address, request, "mid-answer", count=5, read=60).inject()
        facts["freed_s"], facts["still_running"] = _until_freed(world, 15.0)

    return Doing(f"leave {fault}", begin, partial(world.host.order, "untwist"), **arguments)


def _until_freed(world: ServedWorld, patience: float) -> tuple[float, int]:
    begun = time.monotonic()
    pause = threading.Event()
    running = -1
    while time.monotonic() < begun + patience:
        running = world.host.order("counts")["running"]
        if running == 0:
            break
        pause.wait(0.01)
    return time.monotonic() - begun, running


def _burn(world: ServedWorld, _rng: Any) -> Fault:
    """Eight requests whose engines compute in Python for as long as the fault is on."""
    clients: list[socket.socket] = []

    def begin(facts: dict[str, Any]) -> None:
        world.host.order("twist", fault="EngineBurns", seconds=30.0)
        for _ in range(8):
            client = socket.create_connection(world.address, 10.0)
            client.sendall(request_bytes(Target("victim"), TEXT))
            clients.append(client)
        facts["burning"] = len(clients)

    def end() -> None:
        world.host.order("untwist")
        for client in clients:
            client.close()

    return Doing("burn", begin, end, engines=8)


def _meanwhile(seen: Evidence) -> float:
    """Requests of others that came and were answered while the fault was on."""
    since, until = seen.injected_at, seen.healed_at
    return sum(r.ok and since + 0.5 < r.at and r.end < until for r in seen.requests)


def _met(pattern: str, sentence: str) -> Invariant:
    """Every request that met the fault ended in a way that ``pattern`` matches."""

    def check(seen: Evidence) -> str | None:
        met: list[str] = seen.fact("met", [])
        bad = sorted({each for each in met if not re.fullmatch(pattern, each)})
        named = {k: v for k, v in seen.fact("garbage", {}).items() if set(v) & set(bad)}
        return f"{bad} {named or ''}".strip() if bad else None

    return Invariant(sentence, check)


MET: Final = Figure("failed requests of the victim", "", lambda e: len(_not_ok(e)))


def _not_ok(seen: Evidence) -> Sequence[str]:
    return [each for each in seen.fact("met", []) if each != "ok"]


def _row(row: int, key: str, title: str, fault: Any, *more: Invariant, **settings: Any) -> Scenario:
    figures = settings.pop("figures", (MET,))
    stage = partial(hosted, **settings.pop("host", {}))
    return Scenario(row, key, title, FAMILY, stage, fault, (*CLEAN, *more), figures, **settings)


ROWS: Final = (
    *(
        _row(
            20,
            f"raise-{name}-{error}",
            f"the engine raises {error} {name} the first token",
            partial(_twisted, "EngineRaises", {"error": error, "after": after}, 10.0),
            _met(pattern, "500 in OpenAI's shape, or one error event after the first token"),
            at_least(lambda e: len(_not_ok(e)), 2, "both requests are told"),
            quick=name == "after" and error == "RuntimeError",
            seconds=0.5,
        )
        for name, after, pattern in (
            ("before", 0, "status 5.."),
            ("after", 2, "status 5..|error event .*"),
        )
        for error in ("RuntimeError", "SystemExit", "MemoryError")
    ),
    *(
        _row(
            21,
            f"silent-{name}",
            f"the engine hangs {name} a token, 1 s of silence is accepted",
            partial(_twisted, "EngineHangs", {"after": after}, 10.0),
            _met(pattern, "504, or a cut stream that says so, at the deadline"),
            at_least(lambda e: len(_not_ok(e)), 2, "both requests are told"),
            host={"engine_timeout": SILENCE},
            seconds=0.5,
        )
        for name, after, pattern in (
            ("before", 0, "status 504"),
            ("after", 2, "status 504|error event .*"),
        )
    ),
    _row(
        22,
        "engine-garbage",
        f"the engine yields garbage of {len(GARBAGE)} kinds",
        _garbage,
        _met("ok|status 5..|error event .*", "valid events or one error event, no broken frame"),
        figures=(Figure("frames checked", "", lambda e: len(e.fact("met", []))), MET),
    ),
    _row(
        23,
        "endless",
        "clients leave endless answers",
        partial(_left_alone, "EngineEndless", {}),
        fact_is("still_running", 0, "every generator is closed", always=False),
        at_most(lambda e: e.fact("freed_s"), 5.0, "soon after its client left"),
        figures=(FREED,),
        seconds=0.5,
        quick=True,
    ),
    _row(
        23,
        "deaf",
        "clients leave engines that ignore cancellation for 2 s",
        partial(_left_alone, "EngineIgnoresCancel", {"seconds": 2.0, "after": 2}),
        fact_is("still_running", 0, "every generator is closed at its next yield", always=False),
        at_most(lambda e: e.fact("freed_s"), 5.0, "as soon as it yields"),
        figures=(FREED,),
        seconds=0.5,
    ),
    _row(
        24,
        "burn",
        "eight engines compute in Python",
        _burn,
        # How late they are is a figure: eight threads that want the GIL leave little of it, and the
        # backlog grows for as long as they compute.
        at_least(_meanwhile, 5, "everybody else is answered meanwhile, if late"),
        figures=(
            Figure("busy engines", "", lambda e: e.fact("burning")),
            Figure("answered during", "", _meanwhile),
            Figure("p99 during", "ms", lambda e: e.percentile(99)),
            Figure(
                "p99 without",
                "ms",
                lambda e: e.percentile(99, during=False),
                before="it is what the figure during the fault is compared with",
            ),
        ),
        seconds=3.0,
        patience=30.0,
    ),
)
