"""The seeded mutants of discovery and the registry, on a real etcd."""

from __future__ import annotations

from typing import Final

from tests.faults.mutant import Mutant

__all__ = ["DISCOVERY"]

DISCOVERY: Final = (
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
        "discovery/etcd/watch.py",
        "                    token.wait(backoff.next())",
        "                    token.wait()",
    ),
    Mutant(
        "compaction",
        "a delete that happened meanwhile is missed",
        "discovery/etcd/watch.py",
        "            yield Deleted(key)",
        "            pass",
    ),
    Mutant(
        "partition",
        "changes after the snapshot are not applied",
        "discovery/etcd/watch.py",
        "                self._apply(change)",
        "                pass",
    ),
    Mutant(
        "lease",
        "a delete is ignored",
        "discovery/etcd/watch.py",
        "            self._deliver(Deleted(change))",
        "            pass",
    ),
    Mutant(
        "garbage",
        "a bad entry is forgotten instead of quarantined",
        "discovery/reconcile.py",
        "        self._builder.quarantine(label, reason)",
        "        pass",
    ),
    Mutant(
        "wiped",
        "what etcd lost is not noticed",
        "discovery/etcd/watch.py",
        "        for event in difference(self._known, snapshot.entries):\n"
        "            self._deliver(event)",
        "        for event in ([] if self._known else difference({}, snapshot.entries)):\n"
        "            self._deliver(event)",
    ),
    Mutant(
        "etcd-freeze",
        "a connection is given up only after hours of silence",
        "discovery/etcd/client.py",
        '("grpc.keepalive_time_ms", 6_000)',
        '("grpc.keepalive_time_ms", 6_000_000)',
    ),
    Mutant(
        "mix",
        "a request that an instance failed is asked of no other",
        "actors/engines/pool/request.py",
        "        if alone and not pool.retry(self, side.instance, failure):",
        "        if alone:",
    ),
    Mutant(
        "partition-up",
        "half a second of silence is an outage",
        "discovery/etcd/client.py",
        '("grpc.keepalive_time_ms", 6_000),\n    ("grpc.keepalive_timeout_ms", 3_000),\n'
        '    ("grpc.http2.ping_timeout_ms", 3_000),',
        '("grpc.keepalive_time_ms", 1_000),\n    ("grpc.keepalive_timeout_ms", 500),\n'
        '    ("grpc.http2.ping_timeout_ms", 500),',
    ),
    Mutant(
        "partition-down",
        "a key that the snapshot did not have is not delivered",
        "discovery/etcd/watch.py",
        "            self._known[change.key] = change.version\n",
        "            if change.key not in self._known:\n                return\n",
    ),
    Mutant(
        "etcd-reset",
        "a connection that was closed is used again",
        "discovery/etcd/watch.py",
        "        client = self._connect(endpoint)",
        '        client = self.__dict__.setdefault("_kept", self._connect(endpoint))',
    ),
    Mutant(
        "etcd-latency",
        "an etcd whose pings take 200 ms counts as gone",
        "discovery/etcd/client.py",
        '("grpc.keepalive_time_ms", 6_000),\n    ("grpc.keepalive_timeout_ms", 3_000),\n'
        '    ("grpc.http2.ping_timeout_ms", 3_000),',
        '("grpc.keepalive_time_ms", 1_000),\n    ("grpc.keepalive_timeout_ms", 200),\n'
        '    ("grpc.http2.ping_timeout_ms", 200),',
    ),
    Mutant(
        "etcd-slicer",
        "the first change of a message is lost",
        "discovery/etcd/client.py",
        "        for event in answer.events\n",
        "        for event in answer.events[1:]\n",
    ),
    Mutant(
        "etcd-half-close",
        "the first error of etcd is the end of discovery",
        "discovery/etcd/watch.py",
        "                attempt += 1\n",
        "                return\n",
    ),
)
