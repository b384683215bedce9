"""The seeded mutants of the library alone, which the scenarios of actors must notice."""

from __future__ import annotations

from typing import Final

from tests.faults.mutant import Mutant

__all__ = ["ACTORS"]


def _library(scenario: str, name: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(scenario, name, f"actors/supervision/{module}.py", old, new)


ACTORS: Final = (
    _library(
        "hang",
        "who asked a hung actor waits for its whole timeout",
        "actor_loop",
        "envelope.reply_to.fail(ActorCrashed(",
        "repr(ActorCrashed(",
    ),
    _library(
        "hang",
        "nobody looks for hung actors",
        "child_runner",
        "since is None or now - since <= limit:",
        "since is None or now - since <= limit * 1e6:",
    ),
    _library(
        "poison",
        "a crash is not logged",
        "child_runner",
        'log.error("%s ended: %s"',
        'log.debug("%s ended: %s"',
    ),
    _library(
        "start-once",
        "a restart that fails is not tried again",
        "base_supervisor",
        "self._decide(RestartFailed(child.spec.id, self._tree.clock.monotonic()))",
        "pass",
    ),
    _library(
        "start-never",
        "children stop in the order of their start",
        "supervisor",
        "for child in reversed([*self._children.values()]):",
        "for child in [*self._children.values()]:",
    ),
    _library(
        "start-hangs",
        "start_within is not enforced",
        "child_runner",
        "clock.wait(start_finished.wait, spec.start_within)",
        "clock.wait(start_finished.wait, 60.0)",
    ),
    _library(
        "storm",
        "one restart too many is borne",
        "plan",
        "    state = _count(state, event.now)\n    if state.exhausted:\n"
        "        return state, (GiveUp(len(state.restarts)),)\n    state, stops",
        "    if state.exhausted:\n"
        "        return state, (GiveUp(len(state.restarts)),)\n"
        "    state = _count(state, event.now)\n    state, stops",
    ),
    _library(
        "storm-backoff",
        "the backoff is not waited for",
        "base_supervisor",
        "        if delay > 0:",
        "        if delay < 0:",
    ),
    _library(
        "raise-SystemExit",
        "a SystemExit in a handler is only an answer",
        "actor_loop",
        "ordinary = isinstance(error, Exception)",
        "ordinary = True",
    ),
    _library(
        "raise-KeyboardInterrupt",
        "whoever asks an actor that dies of it hears nothing",
        "actor_loop",
        "            reply.set_exception((type(told), told, None))",
        "            repr((type(told), told, None))",
    ),
    _library(
        "raise-MemoryError",
        "memory that ran out crashes nobody",
        "actor_loop",
        "_ALWAYS_FATAL: Final = (MemoryError, RecursionError)",
        "_ALWAYS_FATAL: Final = (RecursionError,)",
    ),
    _library(
        "raise-RecursionError",
        "a stack that ran out crashes nobody",
        "actor_loop",
        "_ALWAYS_FATAL: Final = (MemoryError, RecursionError)",
        "_ALWAYS_FATAL: Final = (MemoryError,)",
    ),
    _library(
        "flood",
        "a bounded mailbox takes everything",
        "mailbox",
        "self._user.qsize() >= self.capacity:",
        "self._user.qsize() >= 10**9:",
    ),
    _library(
        "cycle",
        "an ask cycle is not looked for",
        "deadlock",
        "            if node in self._nodes:",
        "            if False:",
    ),
    _library(
        "cycle",
        "the message of a refused cycle is handled all the same",
        "reply",
        "            self.withdrawn = True\n",
        "",
    ),
    _library(
        "lost-reply",
        "an ask waits a second longer than it may",
        "reply",
        "min(max(0.0, seconds), threading.TIMEOUT_MAX)",
        "min(max(0.0, seconds) + 1.0, threading.TIMEOUT_MAX)",
    ),
    _library(
        "late-reply",
        "a timeout is taken for an answer",
        "reply",
        'raise pykka.Timeout(f"no answer within {timeout} seconds")',
        "return",
    ),
    _library(
        "supervisor",
        "the children outlive a supervisor that crashes",
        "base_supervisor",
        '"""Crashed: the children must not outlive it."""\n        self._stop_all()',
        '"""Crashed: the children must not outlive it."""',
    ),
    _library(
        "no-threads",
        "no thread for a child is the end of its supervisor",
        "child_runner",
        "except BaseException as error:  # e.g. sys.exit()",
        "except ValueError as error:  # e.g. sys.exit()",
    ),
    _library(
        "clock+1h",
        "a clock that went ahead stretches every backoff",
        "clock",
        "timer = _Due(time.monotonic() + delay",
        "timer = _Due(time.monotonic() + max(0.0, time.time() - __import__('datetime')"
        ".datetime.now().timestamp()) + delay",
    ),
    _library(
        "clock-1h",
        "a timer is due by the wall clock",
        "clock",
        "timer = _Due(time.monotonic() + delay",
        "timer = _Due(time.monotonic() + abs(time.time() - __import__('datetime')"
        ".datetime.now().timestamp()) + delay",
    ),
    _library(
        "stop-all",
        "an actor that ends stays in Pykka's registry",
        "actor_loop",
        "        self.actor.actor_stopped.set()\n        unregister(self.actor.actor_ref)",
        "        self.actor.actor_stopped.set()",
    ),
)
