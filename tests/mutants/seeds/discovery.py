"""The seeded mutants of discovery and the registry, on a real etcd."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["DISCOVERY"]

DISCOVERY: Final = (
    Mutant(
        "registry", "the registry's state dies with it", "actors:Service.start", "True", "False"
    ),
    Mutant(
        "discovery",
        "discovery is not started again",
        "discovery:discovery_child",
        "Child(id, start, backoff=Backoff(first=0.2, cap=5.0), hang_after=HANG_AFTER, "
        "hand_over=True)",
        "Child(id, start, backoff=Backoff(first=0.2, cap=5.0), hang_after=HANG_AFTER, "
        "hand_over=True, restart=__import__('actors').Restart.TEMPORARY)",
    ),
    Mutant(
        "etcd-kill",
        "after an outage nobody connects again",
        "discovery:EtcdSource.run",
        "token.wait(backoff.next())",
        "token.wait()",
    ),
    Mutant(
        "compaction",
        "a delete that happened meanwhile is missed",
        "discovery:difference",
        "yield key",
        "",
    ),
    Mutant(
        "partition",
        "changes after the snapshot are not applied",
        "discovery:_Run.round",
        "self._apply(change)",
        "",
    ),
    Mutant(
        "lease",
        "a delete is ignored",
        "discovery:_Run._report",
        "self._deliver(Removed(label_of(change)))",
        "",
    ),
    Mutant(
        "garbage",
        "a bad entry is forgotten instead of quarantined",
        "discovery:Reconciler._quarantine",
        "self._builder.quarantine(label, reason)",
        "",
    ),
    Mutant(
        "wiped",
        "what etcd lost is not noticed",
        "discovery:_Run.round",
        "difference(self._known, snapshot.entries)",
        "[] if self._known else difference({}, snapshot.entries)",
    ),
    Mutant(
        "etcd-freeze",
        "a connection is given up only after hours of silence",
        "discovery:CHANNEL_OPTIONS",
        "6000",
        "6000000",
    ),
    Mutant(
        "mix",
        "a request that an instance failed is asked of no other",
        "actors/engines:PoolRequest.fail_early",
        "alone and (not pool.retry(self, side.instance, failure))",
        "alone",
    ),
    Mutant(
        "partition-up",
        "half a second of silence is an outage",
        "discovery:CHANNEL_OPTIONS",
        "('grpc.keepalive_time_ms', 6000), ('grpc.keepalive_timeout_ms', 3000), "
        "('grpc.http2.ping_timeout_ms', 3000)",
        "('grpc.keepalive_time_ms', 1000), ('grpc.keepalive_timeout_ms', 500), "
        "('grpc.http2.ping_timeout_ms', 500)",
    ),
    Mutant(
        "partition-down",
        "a key that the snapshot did not have is not delivered",
        "discovery:_Run._apply",
        "self._known[change.key] = change.version",
        "if change.key not in self._known:\n    return",
    ),
    Mutant(
        "etcd-reset",
        "a connection that was closed is used again",
        "discovery:EtcdSource._visit",
        "self._connect(endpoint)",
        "self.__dict__.setdefault('_kept', self._connect(endpoint))",
    ),
    Mutant(
        "etcd-latency",
        "an etcd whose pings take 200 ms counts as gone",
        "discovery:CHANNEL_OPTIONS",
        "('grpc.keepalive_time_ms', 6000), ('grpc.keepalive_timeout_ms', 3000), "
        "('grpc.http2.ping_timeout_ms', 3000)",
        "('grpc.keepalive_time_ms', 1000), ('grpc.keepalive_timeout_ms', 200), "
        "('grpc.http2.ping_timeout_ms', 200)",
    ),
    Mutant(
        "etcd-slicer",
        "the first change of a message is lost",
        "discovery:_batch",
        "answer.events",
        "answer.events[1:]",
    ),
    Mutant(
        "etcd-half-close",
        "the first error of etcd is the end of discovery",
        "discovery:EtcdSource.run",
        "attempt += 1",
        "return",
    ),
)
