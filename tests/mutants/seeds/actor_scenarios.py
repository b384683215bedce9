"""The seeded mutants of the library alone, which the scenarios of actors must notice."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["ACTORS"]

ACTORS: Final = (
    Mutant(
        "hang",
        "who asked a hung actor waits for its whole timeout",
        "actors/supervision:ActorLoop.abandon",
        "envelope.reply_to.fail",
        "repr",
    ),
    Mutant(
        "hang",
        "nobody looks for hung actors",
        "actors/supervision:ChildRunner.abandon_if_hung",
        "now - since <= limit",
        "now - since <= limit * 1000000.0",
    ),
    Mutant(
        "poison",
        "a crash is not logged",
        "actors/supervision:ChildRunner._log_end",
        "log.error",
        "log.debug",
    ),
    Mutant(
        "start-once",
        "a restart that fails is not tried again",
        "actors/supervision:BaseSupervisor._start_again",
        "self._decide(RestartFailed(child.spec.id, self._tree.clock.monotonic()))",
        "",
    ),
    Mutant(
        "start-never",
        "children stop in the order of their start",
        "actors/supervision:SupervisorActor._stop_all",
        "reversed([*self._children.values()])",
        "[*self._children.values()]",
    ),
    Mutant(
        "start-hangs",
        "start_within is not enforced",
        "actors/supervision:ChildRunner._wait_until_up",
        "self._tree.clock.wait(start_finished.wait, spec.start_within)",
        "self._tree.clock.wait(start_finished.wait, 60.0)",
    ),
    Mutant(
        "storm",
        "one restart too many is borne",
        "actors/supervision:_ended",
        "state = _count(state, event.now)\n"
        "if state.exhausted:\n"
        "    return (state, (GiveUp(len(state.restarts)),))",
        "if state.exhausted:\n"
        "    return (state, (GiveUp(len(state.restarts)),))\n"
        "state = _count(state, event.now)",
    ),
    Mutant(
        "storm-backoff",
        "the backoff is not waited for",
        "actors/supervision:BaseSupervisor._retry_later",
        "delay > 0",
        "delay < 0",
    ),
    Mutant(
        "raise-SystemExit",
        "a SystemExit in a handler is only an answer",
        "actors/supervision:ActorLoop.failed",
        "isinstance(error, Exception)",
        "True",
    ),
    Mutant(
        "raise-KeyboardInterrupt",
        "whoever asks an actor that dies of it hears nothing",
        "actors/supervision:ActorLoop.failed",
        "reply.set_exception",
        "repr",
    ),
    Mutant(
        "raise-MemoryError",
        "memory that ran out crashes nobody",
        "actors/supervision:_ALWAYS_FATAL",
        "(MemoryError, RecursionError)",
        "(RecursionError,)",
    ),
    Mutant(
        "raise-RecursionError",
        "a stack that ran out crashes nobody",
        "actors/supervision:_ALWAYS_FATAL",
        "(MemoryError, RecursionError)",
        "(MemoryError,)",
    ),
    Mutant(
        "flood",
        "a bounded mailbox takes everything",
        "actors/supervision:Mailbox.put",
        "self._user.qsize() >= self.capacity",
        "self._user.qsize() >= 10 ** 9",
    ),
    Mutant(
        "cycle",
        "an ask cycle is not looked for",
        "actors/supervision:blocked_on._check_for_cycle",
        "node in self._nodes",
        "False",
    ),
    Mutant(
        "cycle",
        "the message of a refused cycle is handled all the same",
        "actors/supervision:Reply._wait",
        "self.withdrawn = True",
        "",
    ),
    Mutant(
        "lost-reply",
        "an ask waits a second longer than it may",
        "actors/supervision:Reply._opened",
        "max(0.0, seconds)",
        "max(0.0, seconds) + 1.0",
    ),
    Mutant(
        "late-reply",
        "a timeout is taken for an answer",
        "actors/supervision:Reply._wait",
        "raise pykka.Timeout(f'no answer within {timeout} seconds')",
        "return",
    ),
    Mutant(
        "supervisor",
        "the children outlive a supervisor that crashes",
        "actors/supervision:BaseSupervisor.on_failure",
        "self._stop_all()",
        "",
    ),
    Mutant(
        "no-threads",
        "no thread for a child is the end of its supervisor",
        "actors/supervision:ChildRunner._make",
        "BaseException",
        "ValueError",
    ),
    Mutant(
        "clock+1h",
        "a clock that went ahead stretches every backoff",
        "actors/supervision:TimerThread.call_later",
        "time.monotonic()",
        "time.monotonic() + max(0.0, time.time() - "
        "__import__('datetime').datetime.now().timestamp())",
    ),
    Mutant(
        "clock-1h",
        "a timer is due by the wall clock",
        "actors/supervision:TimerThread.call_later",
        "time.monotonic()",
        "time.monotonic() + abs(time.time() - __import__('datetime').datetime.now().timestamp())",
    ),
    Mutant(
        "stop-all",
        "an actor that ends stays in Pykka's registry",
        "actors/supervision:ActorLoop.terminate",
        "unregister(self.actor.actor_ref)",
        "",
    ),
)
