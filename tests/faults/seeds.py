"""The seeded mutants: each a way to break the product that one scenario must notice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MUTANTS", "Mutant"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` in the file ``path`` becomes ``new``; then ``scenario`` must break."""

    scenario: str
    name: str
    """What is broken, as a sentence without its end."""
    path: str
    old: str
    """A text that occurs exactly once."""
    new: str


def _library(scenario: str, name: str, module: str, old: str, new: str) -> Mutant:
    return Mutant(scenario, name, f"actors/supervision/{module}.py", old, new)


_ACTORS: Final = (
    _library(
        "hang",
        "who asked a hung actor waits for its whole timeout",
        "runtime",
        "letter.reply_to.fail(ActorCrashed(",
        "repr(ActorCrashed(",
    ),
    _library(
        "hang",
        "nobody looks for hung actors",
        "incarnation",
        "if now - runtime.busy_since <= limit:",
        "if now - runtime.busy_since <= limit * 1e6:",
    ),
    _library(
        "poison",
        "a crash is not logged",
        "incarnation",
        '_log.error("%s ended: %s"',
        '_log.debug("%s ended: %s"',
    ),
    _library(
        "start-once",
        "a restart that fails is not tried again",
        "keeper",
        "self._decide(StartFailedAgain(child.spec.id, self._kin.clock.monotonic()))",
        "pass",
    ),
    _library(
        "start-never",
        "children stop in the order of their start",
        "supervisor",
        "for member in reversed(self._roster.members):",
        "for member in self._roster.members:",
    ),
    _library(
        "start-hangs",
        "start_within is not enforced",
        "incarnation",
        "runtime.life.settled.wait(spec.start_within)",
        "runtime.life.settled.wait(60.0)",
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
        "keeper",
        "        if delay > 0:",
        "        if delay < 0:",
    ),
    _library(
        "raise-SystemExit",
        "a SystemExit in a handler is only an answer",
        "runtime",
        "ordinary = isinstance(error, Exception)",
        "ordinary = True",
    ),
    _library(
        "raise-KeyboardInterrupt",
        "whoever asks an actor that dies of it hears nothing",
        "runtime",
        "            reply.set_exception((type(told), told, None))",
        "            repr((type(told), told, None))",
    ),
    _library(
        "raise-MemoryError",
        "memory that ran out crashes nobody",
        "runtime",
        "_ALWAYS_FATAL: Final = (MemoryError, RecursionError)",
        "_ALWAYS_FATAL: Final = (RecursionError,)",
    ),
    _library(
        "raise-RecursionError",
        "a stack that ran out crashes nobody",
        "runtime",
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
        "waits",
        "            if party in self._parties:",
        "            if False:",
    ),
    _library(
        "lost-reply",
        "an ask waits a second longer than it may",
        "reply",
        "min(max(0.0, timeout), threading.TIMEOUT_MAX)",
        "min(max(0.0, timeout) + 1.0, threading.TIMEOUT_MAX)",
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
        "keeper",
        '"""Crashed: the children must not outlive it."""\n        self._stop_all()',
        '"""Crashed: the children must not outlive it."""',
    ),
    _library(
        "no-threads",
        "no thread for a child is the end of its supervisor",
        "incarnation",
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
        "runtime",
        "        ActorRegistry.unregister(self.actor.actor_ref)",
        "        pass",
    ),
)

_DISCOVERY: Final = (
    Mutant(
        "registry",
        "the registry's state dies with it",
        "actors/service.py",
        "RegistryActor.start, hand_over=True)",
        "RegistryActor.start, hand_over=False)",
    ),
    Mutant(
        "discovery",
        "discovery is not started again",
        "discovery/actor.py",
        "        hand_over=True,\n    )",
        '        hand_over=True,\n        restart=__import__("actors").Restart.TEMPORARY,\n    )',
    ),
    Mutant(
        "etcd-kill",
        "after an outage nobody connects again",
        "discovery/etcd_watch.py",
        "                    token.wait(backoff.next())",
        "                    token.wait()",
    ),
    Mutant(
        "compaction",
        "a delete that happened meanwhile is missed",
        "discovery/etcd_watch.py",
        "            yield Deleted(key)",
        "            pass",
    ),
    Mutant(
        "partition",
        "changes after the snapshot are not applied",
        "discovery/etcd_watch.py",
        "                self._apply(change)",
        "                pass",
    ),
    Mutant(
        "lease",
        "a delete is ignored",
        "discovery/etcd_watch.py",
        "            self._deliver(Deleted(change))",
        "            pass",
    ),
    Mutant(
        "garbage",
        "a bad entry is forgotten instead of quarantined",
        "discovery/actor.py",
        "        self._commit(self._ledger.quarantine(key, reason))",
        "        pass",
    ),
    Mutant(
        "wiped",
        "what etcd lost is not noticed",
        "discovery/etcd_watch.py",
        "        for event in difference(self._known, snapshot.entries):\n"
        "            self._deliver(event)",
        "        for event in ([] if self._known else difference({}, snapshot.entries)):\n"
        "            self._deliver(event)",
    ),
    Mutant(
        "sigstop",
        "a put after the snapshot is not applied",
        "discovery/etcd_watch.py",
        "            self._deliver(Put(change.key, change.value))",
        "            pass",
    ),
)

_SERVICE: Final = (
    Mutant(
        "raise-before-RuntimeError",
        "a failure before the first token is a gateway's",
        "http/http_service/errors.py",
        "    return reply_for_status(500, INTERNAL)",
        "    return reply_for_status(418, INTERNAL)",
    ),
    Mutant(
        "raise-after-RuntimeError",
        "an error event without the blank line after it",
        "http/http_service/sse.py",
        'return b"data: " + reply.body() + b"\\n\\n"',
        'return b"data: " + reply.body() + b"\\n"',
    ),
    Mutant(
        "raise-after-MemoryError",
        "an engine that runs out of memory is never heard of again",
        "actors/engines/generator.py",
        "        sink.fail(error)",
        "        isinstance(error, Exception) and not isinstance(error, MemoryError)"
        " and sink.fail(error)",
    ),
    Mutant(
        "endless",
        "a generator goes on after its client left",
        "actors/engines/generator.py",
        "            if token.cancelled:\n                break",
        "            if token.cancelled:\n                continue",
    ),
    Mutant(
        "deaf",
        "a generator that was left is not closed",
        "actors/engines/generator.py",
        "        if close is not None:",
        "        if token.cancelled:\n            __import__('threading').Event().wait(30)\n"
        "        if close is not None:",
    ),
    Mutant(
        "bad-json",
        "an error has another shape than OpenAI's",
        "http/http_service/errors.py",
        '"code": code}}',
        '"kind": code}}',
    ),
    Mutant(
        "listener",
        "an actor of the service that crashes is not logged",
        "actors/supervision/incarnation.py",
        '_log.error("%s ended: %s"',
        '_log.debug("%s ended: %s"',
    ),
    Mutant(
        "sigterm",
        "SIGTERM is a failure",
        "actors/service.py",
        "        if self._gave_up is None:\n            return None",
        '        if self._gave_up is None:\n            return "stopped"',
    ),
)

_LIMITS: Final = (
    Mutant(
        "etcd-freeze",
        "a connection is given up only after hours of silence",
        "discovery/etcd_options.py",
        '("grpc.keepalive_time_ms", 10_000)',
        '("grpc.keepalive_time_ms", 10_000_000)',
    ),
    Mutant(
        "silent-before",
        "an engine may be silent for ever before its first token",
        "http/http_service/resources/generate.py",
        "answer.wait(self._services.config.engine_timeout)",
        "answer.wait(600.0)",
    ),
    Mutant(
        "silent-after",
        "an engine may be silent for ever between two tokens",
        "http/http_service/resources/generate.py",
        "silence = self._services.config.engine_timeout",
        "silence = 600.0",
    ),
    Mutant(
        "leave-mid-answer-rst",
        "a request that ended is still in flight",
        "http/http_service/call.py",
        "        self._inflight.discard(self._running)",
        "        pass",
    ),
    Mutant(
        "idle",
        "fifty connections are all there are",
        "http/http_service/server/limits.py",
        "min(config.connection_limit, _file_limit() - RESERVED_FILES)",
        "50",
    ),
    Mutant(
        "bad-http",
        "a body may be of any size",
        "http/http_service/server/limits.py",
        '"max_request_body_size": config.body_limit + 1,',
        '"max_request_body_size": 1 << 60,',
    ),
    Mutant(
        "sigkill",
        "a port that was in use can't be listened on again",
        "http/http_service/server/listener.py",
        "        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)",
        "        pass",
    ),
)

MUTANTS: Final = (*_ACTORS, *_DISCOVERY, *_SERVICE, *_LIMITS)
