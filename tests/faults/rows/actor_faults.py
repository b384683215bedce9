"""What rows 4 to 13, 31, 34 and 38 inject: each function makes the fault of one scenario."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

import pykka

from actors import ActorCrashed, AskCycle
from actors.testing.faults import (
    ClockJump,
    Crash,
    CrashOnStart,
    Fault,
    Flood,
    Hang,
    HangOnStart,
    LateReply,
    LostReply,
    Poison,
    Slow,
    ThreadExhaustion,
)
from tests.faults.evidence import Evidence
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.tree import ASK, TreeWorld

__all__ = [
    "crash_supervisor",
    "cycle",
    "fatal",
    "flood",
    "hang",
    "jump",
    "kill",
    "late",
    "lost",
    "no_threads",
    "poison",
    "reverse",
    "start_hangs",
    "start_never",
    "start_once",
    "stop_all",
    "storm",
    "with_kill",
]

WAIT: Final = 10.0


def kill(world: TreeWorld) -> None:
    """Crash the victim once, by a message of ours."""
    poison = object()
    ended = threading.Event()
    with Crash(world.victim_class, when=lambda message: message is poison, times=1):
        watch = world.victim.watch(lambda _exit: ended.set())
        world.victim.tell(poison)
        ended.wait(WAIT)
        watch.unwatch()


def with_kill(world: TreeWorld, *faults: Fault) -> Fault:
    """``faults`` on, then the victim killed: for whatever happens while it starts again."""

    def begin(_facts: dict[str, Any]) -> None:
        for fault in faults:
            fault.inject()
        kill(world)

    def end() -> None:
        for fault in reversed(faults):
            fault.heal()

    return Doing("kill during " + " and ".join(each.name for each in faults), begin, end)


def hang(world: TreeWorld, _rng: Any) -> Fault:
    return Hang(world.victim_class, times=1)


def poison(world: TreeWorld, _rng: Any) -> Fault:
    return Poison(world.victim_class, world.victim.tell, object(), deliveries=5, every=0.15)


def cycle(world: TreeWorld, _rng: Any) -> Fault:
    def begin(facts: dict[str, Any]) -> None:
        begun = time.monotonic()
        relayed.clear()
        try:
            world.victim.ask(("ask", "bystander", "victim"), timeout=ASK)
            facts["told"] = "an answer"
        except AskCycle as cycle:
            facts["told"] = "AskCycle"
            facts["members"] = len(set(cycle.cycle))
        except pykka.Timeout:
            facts["told"] = "Timeout"
        facts["cycle_ms"] = (time.monotonic() - begun) * 1000.0

    relayed = world.victim_class.relayed
    fault = Doing("ask-cycle", begin, lambda: fault.facts.update(relayed=len(relayed)))
    return fault


def lost(world: TreeWorld, _rng: Any) -> Fault:
    return LostReply(world.ref, when=lambda message: type(message) is int, times=1)


def late(world: TreeWorld, _rng: Any) -> Fault:
    return LateReply(world.ref, ASK + 0.3, when=lambda message: type(message) is int, times=1)


def fatal(error: type[BaseException], world: TreeWorld, _rng: Any) -> Fault:
    def begin(facts: dict[str, Any]) -> None:
        poison = object()
        with Crash(world.victim_class, error, when=lambda message: message is poison, times=1):
            try:
                world.victim.ask(poison, timeout=ASK)
                facts["told"] = "an answer"
            except (error, ActorCrashed):
                facts["told"] = "an error"
            except pykka.Timeout:
                facts["told"] = "Timeout"

    return Doing(f"raise {error.__name__}", begin)


def flood(world: TreeWorld, _rng: Any) -> Fault:
    slow = Slow(world.victim_class, 0.001)
    flood = Flood(world.victim.tell, 0, 100_000)

    def begin(facts: dict[str, Any]) -> None:
        before = world.victim.dead_letters
        slow.inject()
        flood.inject()
        facts["all_sent"] = flood.join(60.0)
        facts["held_up"] = flood.longest
        facts["rejected"] = world.victim.dead_letters - before

    def end() -> None:
        slow.heal()
        flood.heal()

    return Doing("flood", begin, end, count=100_000)


def storm(world: TreeWorld, _rng: Any) -> Fault:
    over = threading.Event()
    crash = Crash(world.victim_class, when=lambda message: message == "storm")

    def kill() -> None:
        while not over.wait(0.001):
            world.victim.tell("storm")

    thread = threading.Thread(target=kill, name="storm", daemon=True)

    def begin(facts: dict[str, Any]) -> None:
        facts["cpu_before"] = time.process_time()
        crash.inject()
        thread.start()

    def end() -> None:
        over.set()
        thread.join(WAIT)
        crash.heal()

    return Doing("storm", begin, end)


def crash_supervisor(world: TreeWorld, _rng: Any) -> Fault:
    def begin(facts: dict[str, Any]) -> None:
        poison = object()
        inner = world.tree.address("inner")
        refs = pykka.ActorRegistry.get_all()
        keeper = next(r.actor_class for r in refs if r.actor_class.__name__ == "SupervisorActor")
        epoch = inner.epoch
        with Crash(keeper, when=lambda message: message is poison, times=1):
            inner.tell(poison)
            deadline = time.monotonic() + WAIT
            pause = threading.Event()
            while inner.epoch == epoch and time.monotonic() < deadline:
                pause.wait(0.001)
        facts["victims_alive"] = len(pykka.ActorRegistry.get_by_class(world.victim_class))

    return Doing("crash-supervisor", begin)


def stop_all(world: TreeWorld, _rng: Any) -> Fault:
    def begin(facts: dict[str, Any]) -> None:
        ended = threading.Event()
        world.tree.on_exit(lambda _exit: ended.set())
        begun = time.monotonic()
        pykka.ActorRegistry.stop_all(block=False)
        facts["ended"] = ended.wait(WAIT)
        facts["end_ms"] = (time.monotonic() - begun) * 1000.0

    return Doing("stop-all", begin)


def no_threads(world: TreeWorld, _rng: Any) -> Fault:
    return with_kill(world, ThreadExhaustion(lambda name: name == "victim", times=3))


def start_once(world: TreeWorld, _rng: Any) -> Fault:
    return with_kill(world, CrashOnStart(world.victim_class, times=1))


def start_never(world: TreeWorld, _rng: Any) -> Fault:
    return with_kill(world, CrashOnStart(world.victim_class))


def start_hangs(world: TreeWorld, _rng: Any) -> Fault:
    return with_kill(world, HangOnStart(world.victim_class, times=1))


def reverse(seen: Evidence) -> str | None:
    """OrderedChildren are stopped from the last to the first."""
    order = [m.what.split(":")[0] for m in seen.marks if m.what.startswith("ended ")]
    wanted = ["ended bystander", "ended first"]
    found = [each for each in order if each in wanted]
    return None if seen.control or found[-2:] == wanted else f"they ended as {found}"


def jump(seconds: float, world: TreeWorld, _rng: Any) -> Fault:
    return with_kill(world, ClockJump(seconds))
