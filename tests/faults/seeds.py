"""The seeded mutants: each a way to break the product that one scenario must notice."""

from __future__ import annotations

from typing import Final

from tests.faults.mutant import Mutant
from tests.faults.seeds_actors import ACTORS

__all__ = ["MUTANTS"]

_DISCOVERY: Final = (
    Mutant(
        "registry",
        "the registry's state dies with it",
        "actors/service.py",
        "partial(RegistryActor.start, pools), hand_over=True)",
        "partial(RegistryActor.start, pools), hand_over=False)",
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
        "discovery/batch.py",
        "        self._draft.quarantine(label, reason)",
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
        "mix",
        "a request that an instance failed is asked of no other",
        "actors/engines/pool/exchange.py",
        "        if alone and not self.pool.retry(self, attempt.member, treatment):",
        "        if alone:",
    ),
    Mutant(
        "loop-thread",
        "nobody is told that the loop's thread died",
        "actors/eventloop/loop.py",
        "                _guarded(partial(listener, error))",
        "                pass",
    ),
    Mutant(
        "eventloop",
        "the server does not outlive the keeper of its loop",
        "http/http_service/server/http_server.py",
        "            self._serving.pause()\n            return",
        "            self._serving.close()\n            return",
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
        "engine-garbage",
        "half an event is passed on",
        "http/http_service/server/stream.py",
        "        if isinstance(chunk, bytes) and not chunk.endswith(_BLANK_LINES):",
        "        if isinstance(chunk, bytes) and not chunk:",
    ),
    Mutant(
        "slow-readers",
        "the loop waits for a client that does not read",
        "http/http_service/server/channel.py",
        "                    sent = self.socket.send(data)",
        "                    self.socket.settimeout(10.0)\n"
        "                    self.socket.sendall(data)\n"
        "                    sent = len(data)",
    ),
    Mutant(
        "files",
        "accepting is tried again at once when no descriptor is left",
        "http/http_service/server/waitress_server.py",
        "                self._rest(error)",
        "                pass",
    ),
    Mutant(
        "log-stalled",
        "whoever logs waits for whoever reads",
        "actors/logs.py",
        "[BackgroundHandler(handler) if stream is None else handler]",
        "[handler]",
    ),
    Mutant(
        "etcd-freeze",
        "a connection is given up only after hours of silence",
        "discovery/etcd_options.py",
        '("grpc.keepalive_time_ms", 6_000)',
        '("grpc.keepalive_time_ms", 6_000_000)',
    ),
    Mutant(
        "silent-before",
        "an engine may be silent for ever before its first token",
        "http/http_service/resources/generate.py",
        "hand_over(answer, self._services.config.engine_timeout)",
        "hand_over(answer, 600.0)",
    ),
    Mutant(
        "silent-after",
        "an engine may be silent for ever between two tokens",
        "http/http_service/resources/generate.py",
        "hand_over(stream, self._services.config.engine_timeout)",
        "hand_over(stream, 600.0)",
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
        "min(config.connection_limit, _file_limit() - RESERVED_FILES - SPARE)",
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

MUTANTS: Final = (*ACTORS, *_DISCOVERY, *_SERVICE, *_LIMITS)
