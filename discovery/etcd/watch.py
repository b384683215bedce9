"""The watch loop: one prefix of etcd as a :class:`~discovery.source.Source`, whatever etcd does.

One round is: connect to the next member, read a snapshot at one revision, deliver how it differs
from what is known, watch from the next revision on. Any error ends the round; after a jittered
delay the next begins with a new snapshot, so there is one way to recover and it is used for
everything (a restart, a compaction, a lost data directory, a frozen member). A watch is also ended
on purpose every few minutes, because etcd can lose a delete without an error (etcd #18089); what
only the new snapshot told is counted as repaired.

Revisions that begin again mean that etcd lost its history, not that every worker went at once: what
such an etcd no longer holds stays for ``WatchTimes.history_loss_grace``, in which workers that
live announce it again.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from actors.supervision.cancellation import CancellationToken
from discovery.codec import event_of, label_of
from discovery.etcd.access import Endpoint, Endpoints, FullJitter
from discovery.etcd.client import EtcdClient
from discovery.etcd.records import (
    EtcdCompacted,
    EtcdError,
    EtcdPlanned,
    KeyValue,
    Snapshot,
    Version,
)
from discovery.source import Deliver, Put, Removed, Stale, Synced, Unusable

__all__ = ["EtcdSource", "HistoryLossGrace", "WatchTimes", "difference"]

_log = logging.getLogger("discovery.etcd")

Read = Callable[[bytes, bytes], Put | Unusable]
"""What to deliver for a key and its value; never raises."""


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """Every duration of the loop, in seconds."""

    rpc: float = 3.0
    """For one page of the snapshot, and for the watch to be created."""
    max_age: float = 300.0
    """After which a healthy watch is ended for a new snapshot …"""
    age_jitter: float = 0.2
    """… plus or minus this fraction, so that front-ends don't do it together."""
    first_delay: float = 0.2
    """Bound of the delay after a first failure; doubles."""
    max_delay: float = 5.0
    """Bound of any delay."""
    history_loss_grace: float = 10.0
    """For which entries stay that an etcd without its history lacks: the TTL of most workers."""
    stable_after: float = 5.0
    """A watch that held this long counts as recovery: the next delay is short again."""


class EtcdSource:
    """The entries under ``prefix``, from whichever member of ``endpoints`` answers.

    ``read`` decodes one key and value. ``connect`` makes a client for one member; the seam for
    credentials and for tests.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        prefix: bytes,
        *,
        read: Read = event_of,
        times: WatchTimes | None = None,
        connect: Callable[..., EtcdClient] = EtcdClient,
        rng: random.Random | None = None,
    ) -> None:
        self._endpoints: Final = endpoints
        self._prefix: Final = prefix
        self._read: Final = read
        self._times: Final = times or WatchTimes()
        self._connect: Final = connect
        self._rng: Final = rng or random.Random()  # noqa: S311  # spreads load, keeps no secret

    @property
    def name(self) -> str:
        """``etcd``."""
        return "etcd"

    def run(self, deliver: Deliver, token: CancellationToken) -> None:
        """Deliver events until ``token`` is cancelled; see :class:`~discovery.source.Source`."""
        times = self._times
        run = _Run(self._prefix, self._read, times, deliver, self._rng)
        backoff = FullJitter(times.first_delay, times.max_delay, self._rng)
        attempt = 0
        while not token.cancelled:
            try:
                self._visit(self._endpoints.turn(attempt), run, token)
            except EtcdPlanned:
                _log.debug("planned new snapshot")
            except EtcdError as error:
                attempt += 1
                if not token.cancelled:
                    run.lose(error)
                    if run.was_stable():
                        backoff.reset()
                    token.wait(backoff.next())

    def _visit(self, endpoint: Endpoint, run: _Run, token: CancellationToken) -> None:
        """One round at one member, over a connection of its own; ends by an exception."""
        client = self._connect(endpoint)
        try:
            with token.on_cancel(client.close):
                run.round(client)
        finally:
            client.close()


class _Run:
    """The state of one run: what it delivered, and whether it is in sync."""

    def __init__(
        self, prefix: bytes, read: Read, times: WatchTimes, deliver: Deliver, rng: random.Random
    ) -> None:
        self._prefix: Final = prefix
        self._read: Final = read
        self._times: Final = times
        self._deliver: Final = deliver
        self._rng: Final = rng
        self._known: dict[bytes, Version] = {}
        self._revision = 0  # everything up to it was delivered
        self._missing: Final = HistoryLossGrace(times.history_loss_grace)
        self._synced_at: float | None = None  # time.monotonic(); None while out of sync
        self._held = 0.0  # seconds that the last sync lasted
        self._said: set[str] = set()  # the troubles of this outage that were logged

    def round(self, client: EtcdClient) -> None:
        """Snapshot, difference, watch; returns only by an exception."""
        snapshot = client.snapshot(self._prefix, self._times.rpc)
        # Still in sync: the watch ended as planned, and should have told what is different now.
        repaired = 0 if self._synced_at is None else self._missed(client, snapshot)
        self._sort_out(snapshot)
        for change in difference(self._known, snapshot.entries):
            self._report(change)
        self._known = {key: record.version for key, record in snapshot.entries.items()}
        self._revision = snapshot.revision
        jitter = self._rng.uniform(-self._times.age_jitter, self._times.age_jitter)
        stream = client.watch(
            self._prefix,
            snapshot.revision + 1,
            max_age=min(self._times.max_age * (1.0 + jitter), self._missing.left(time.monotonic())),
            timeout=self._times.rpc,
        )
        for batch in stream:
            for change in batch.changes:
                self._apply(change)
            self._revision = max(self._revision, batch.revision)
            self._regain(repaired)
            repaired = 0

    def _sort_out(self, snapshot: Snapshot) -> None:
        """Set aside what must not count as deleted although ``snapshot`` lacks it."""
        now = time.monotonic()
        lost = snapshot.revision < self._revision
        if lost:
            self._missing.history_lost(now)
        self._known = self._missing.sort_out(self._known, snapshot.entries, now)
        if lost:
            facts = {"missing": len(self._missing), "seconds": self._times.history_loss_grace}
            _log.warning("etcd lost its history; what it lacks stays for a while", extra=facts)

    def _missed(self, client: EtcdClient, snapshot: Snapshot) -> int:
        """How many differences are older than what the ended watch had told."""
        told = self._revision
        known = self._known
        missed = sum(
            record.mod_revision <= told and known.get(key) != record.version
            for key, record in snapshot.entries.items()
        )
        gone = [key for key in known if key not in snapshot.entries]
        if gone:
            missed += len(gone) - self._still_there(client, gone, told)
        if missed:
            _log.warning("etcd's watch had lost %d changes; they are repaired", missed)
        return missed

    def _still_there(self, client: EtcdClient, keys: list[bytes], revision: int) -> int:
        """How many of ``keys`` existed at ``revision``; none if that history is gone."""
        try:
            then = client.snapshot(self._prefix, self._times.rpc, revision=revision).entries
        except EtcdCompacted:
            return 0
        return sum(key in then for key in keys)

    def lose(self, error: EtcdError) -> None:
        """Say that etcd is away; in the log once for each kind of trouble."""
        self._held = 0.0 if self._synced_at is None else time.monotonic() - self._synced_at
        self._synced_at = None
        level = logging.DEBUG if error.summary in self._said else logging.WARNING
        self._said.add(error.summary)
        _log.log(level, "out of sync with etcd, the last known entries stay: %s", error)
        self._deliver(Stale(error.summary))

    def was_stable(self) -> bool:
        """Whether the sync that was just lost had lasted."""
        return self._held >= self._times.stable_after

    def _apply(self, change: KeyValue | bytes) -> None:
        if isinstance(change, KeyValue):
            self._missing.found(change.key)
            self._known[change.key] = change.version
            self._report(change)
        elif self._known.pop(change, None) is not None:
            self._report(change)

    def _report(self, change: KeyValue | bytes) -> None:
        if isinstance(change, KeyValue):
            self._deliver(self._read(change.key, change.value))
        else:
            self._deliver(Removed(label_of(change)))

    def _regain(self, repaired: int) -> None:
        if self._synced_at is None:
            self._synced_at = time.monotonic()
            self._said.clear()
            _log.info(
                "in sync with etcd",
                extra={"revision": self._revision, "keys": len(self._known)},
            )
        self._deliver(Synced(self._revision, repaired))


def difference(
    known: Mapping[bytes, Version], seen: Mapping[bytes, KeyValue]
) -> Iterator[KeyValue | bytes]:
    """The changes that lead from ``known`` to ``seen``, deletions first.

    Compares whole records and not the order of revisions: after etcd lost its data directory they
    start again, under the same cluster id. A key deleted and put again is one record. Records come
    in the order of their writes, so that a late starter ends with what a watcher has.
    """
    for key in known:
        if key not in seen:
            yield key
    changed = [record for key, record in seen.items() if known.get(key) != record.version]
    yield from sorted(changed, key=attrgetter("mod_revision"))


class HistoryLossGrace:
    """The entries that stay without being in etcd. One owner; moments are ``time.monotonic()``."""

    def __init__(self, history_loss_grace: float) -> None:
        self._patience: Final = history_loss_grace
        self._until = -math.inf
        self._keys: dict[bytes, Version] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def history_lost(self, now: float) -> None:
        """etcd lost its history: have history_loss_grace from now on."""
        self._until = now + self._patience

    def sort_out(
        self, known: dict[bytes, Version], seen: Container[bytes], now: float
    ) -> dict[bytes, Version]:
        """What of ``known``, and of the orphans so far, ``seen`` decides about; keep the rest."""
        held = known | self._keys
        if now >= self._until:
            self._keys = {}
            return held
        self._keys = {key: version for key, version in held.items() if key not in seen}
        return {key: version for key, version in held.items() if key in seen}

    def found(self, key: bytes) -> None:
        """``key`` is announced again."""
        self._keys.pop(key, None)

    def left(self, now: float) -> float:
        """Seconds until a new look has to decide about them; infinite if there are none."""
        return max(0.0, self._until - now) if self._keys else math.inf
