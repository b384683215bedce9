"""The worker's side: keeps entries announced in etcd under a lease, whatever etcd does.

One lease for all entries. It is kept alive three times within its life; if it is gone (expired,
revoked, etcd lost its data) a new one is granted and every entry is put again, so a worker that
lives is announced and one that died is not, one TTL later at the latest. Any trouble is retried
forever with a jittered delay, at another member each time.

A worker that means to go drains first: its entries say ``draining``, front-ends send it nothing
new, and only then it withdraws them.

NOTE: a key that is deleted by hand stays deleted while the lease lives: who removes a
worker with ``etcdctl del`` means it. It comes back with the next new lease, which a restart of the
worker or ``etcdctl lease revoke`` brings about at once.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from actors.shutdown import REVOKE_TIMEOUT
from actors.supervision.cancellation import CancellationToken
from discovery.codec import encode, label_of
from discovery.entry import Entry, State
from discovery.etcd.access import Endpoint, Endpoints, FullJitter
from discovery.etcd.client import EtcdClient
from discovery.etcd.records import EtcdError, LeaseGone
from discovery.loop_actor import RegistrationStatus

__all__ = ["DEFAULT_TTL", "DuplicateInstances", "EtcdRegistration"]

_log = logging.getLogger("discovery.registration")

DEFAULT_TTL: Final = 10
"""Seconds that an entry outlives its worker."""
MIN_TTL: Final = 2
"""Seconds; etcd raises anything below to two."""
KEEPALIVES_PER_TTL: Final = 3
"""Keep-alives within one TTL: two may be lost."""
MAX_RPC: Final = 3.0
"""Seconds for one call, or a third of the TTL if that is less."""


@dataclass(slots=True)
class _Session:
    """What one run holds in etcd: a lease, and as what every entry was put under it."""

    lease: int | None = None
    announced: State | None = None


class EtcdRegistration:
    """Announces ``entries`` below ``root`` while :meth:`run` runs; no two may share a key.

    ``status`` may be read and :meth:`wait_registered` called from any thread. ``connect`` makes a
    client for one member; the seam for credentials and for tests.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        entries: Sequence[Entry],
        *,
        root: str = "",
        ttl: int = DEFAULT_TTL,
        connect: Callable[..., EtcdClient] = EtcdClient,
        rng: random.Random | None = None,
    ) -> None:
        if ttl < MIN_TTL:
            raise ValueError(f"a lease of {ttl} s is too short: give {MIN_TTL} s or more")
        states: tuple[State, ...] = ("serving", "draining")
        self._pairs: Final[dict[State, dict[bytes, bytes]]] = {
            state: dict(encode(replace(entry, state=state), root) for entry in entries)
            for state in states
        }
        if len(self._pairs["serving"]) != len(entries) or not entries:
            raise ValueError("give at least one entry, and each its own model, type or instance")
        self._endpoints: Final = endpoints
        self._ttl: Final = ttl
        self._rpc: Final = min(MAX_RPC, ttl / KEEPALIVES_PER_TTL)
        self._duplicates: Final = DuplicateInstances(self._rpc)
        self._connect: Final = connect
        self._rng: Final = rng or random.Random()  # noqa: S311  # spreads load, keeps no secret
        self._status = RegistrationStatus()
        self._registered: Final = threading.Event()
        self._said: set[str] = set()  # the troubles since the last success that were logged
        self._wanted: State = "serving"
        self._drained: Final = threading.Event()
        self._bell: Final = threading.Event()  # rung when a beat must not be waited for

    @property
    def status(self) -> RegistrationStatus:
        """The latest record. One attribute load."""
        return self._status

    def wait_registered(self, timeout: float) -> bool:
        """Block until the entries are announced or ``timeout`` seconds passed; tell which."""
        return self._registered.wait(timeout)

    def drain(self, timeout: float) -> bool:
        """Mark the entries as draining, under the same lease; for good, and idempotent.

        Blocks until they stand in etcd so, or ``timeout`` seconds passed; tells which. With False
        it is still tried for as long as :meth:`run` runs.
        """
        self._wanted = "draining"
        self._bell.set()
        return self._drained.wait(timeout)

    def run(self, token: CancellationToken) -> None:
        """Keep the entries announced until ``token`` is cancelled, then withdraw them.

        Returns soon after ``REVOKE_TIMEOUT``, also when etcd is frozen.
        """
        session = _Session()
        backoff = FullJitter(rng=self._rng)
        attempt = 0
        try:
            while not token.cancelled:
                try:
                    self._visit(self._endpoints.turn(attempt), session, token, backoff)
                except EtcdError as error:
                    if isinstance(error, LeaseGone):
                        session.lease, session.announced = None, None
                        self._duplicates.forget()
                    else:
                        attempt += 1
                    self._lose(error, token)
                    token.wait(backoff.next())
        finally:
            self._withdraw(session, attempt)

    def _visit(
        self, endpoint: Endpoint, session: _Session, token: CancellationToken, backoff: FullJitter
    ) -> None:
        """Keep the entries at one member, over a connection of its own."""
        client = self._connect(endpoint)
        try:
            with token.on_cancel(client.close):
                self._keep(client, session, token, backoff)
        finally:
            client.close()

    def _keep(
        self,
        client: EtcdClient,
        session: _Session,
        token: CancellationToken,
        backoff: FullJitter,
    ) -> None:
        """Announce if need be, then keep the lease alive; ends with the token or by an error."""
        with token.on_cancel(self._bell.set):
            while not token.cancelled:
                self._bell.clear()
                if session.lease is None:
                    session.lease = client.grant(self._ttl, self._rpc)
                else:
                    client.keep_alive(session.lease, self._rpc)
                if session.announced is not None:
                    pairs = self._pairs[session.announced]
                    self._duplicates.look_after(client, pairs, session.lease)
                if session.announced != self._wanted:
                    self._announce(client, session, session.lease)
                backoff.reset()
                self._regain(session)
                if not token.cancelled:  # else the bell for it may have been muted above
                    self._bell.wait(self._ttl / KEEPALIVES_PER_TTL)

    def _announce(self, client: EtcdClient, session: _Session, lease: int) -> None:
        """Put every entry as what is wanted now; one that drains takes nothing from a namesake."""
        state = self._wanted
        for key, value in self._pairs[state].items():
            if state == "serving" or not self._duplicates.has(client, key, lease):
                client.put(key, value, lease=lease, timeout=self._rpc)
        session.announced = state

    def _withdraw(self, session: _Session, attempt: int) -> None:
        """Revoke the lease, which removes the keys; once, with a short deadline."""
        self._registered.clear()
        self._status = RegistrationStatus(last_error="stopped")
        if session.lease is None:
            return
        try:
            client = self._connect(self._endpoints.turn(attempt))
            try:
                client.revoke(session.lease, REVOKE_TIMEOUT)
            finally:
                client.close()
            _log.info("withdrawn from etcd", extra={"entries": len(self._pairs["serving"])})
        except LeaseGone:
            _log.info("withdrawn from etcd: the lease was gone already")
        except EtcdError as error:
            _log.warning("not withdrawn, etcd will after %s s: %s", self._ttl, error)

    def _regain(self, session: _Session) -> None:
        draining = session.announced == "draining"
        before, lease = self._status, session.lease or 0
        facts = {"entries": len(self._pairs["serving"]), "lease": f"{lease:x}", "ttl": self._ttl}
        if not before.registered:
            _log.info("registered in etcd", extra=facts)
        if draining and not before.draining:
            _log.info("marked as draining in etcd", extra=facts)
        self._said.clear()
        self._status = RegistrationStatus(
            registered=True, lease=session.lease, last_error=None, draining=draining
        )
        self._registered.set()
        if draining:
            self._drained.set()

    def _lose(self, error: EtcdError, token: CancellationToken) -> None:
        if token.cancelled:
            return
        level = logging.DEBUG if error.summary in self._said else logging.WARNING
        self._said.add(error.summary)
        _log.log(level, "registration in etcd is in doubt, trying again: %s", error)
        self._status = RegistrationStatus(last_error=error.summary)
        self._registered.clear()


_log = logging.getLogger("discovery.registration")


class DuplicateInstances:
    """What one worker knows of others that announce under its keys, while it holds one lease.

    ``timeout``, in seconds, is for each call. Every method raises what the client raises.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout: Final = timeout
        self._taken: Final[set[bytes]] = set()  # held by another's lease at our last look

    def forget(self) -> None:
        """Our lease is gone: all keys will be put again."""
        self._taken.clear()

    def has(self, client: EtcdClient, key: bytes, lease: int) -> bool:
        """Whether a lease other than ours holds ``key``."""
        return client.lease_of(key, self._timeout) not in {None, 0, lease}

    def look_after(self, client: EtcdClient, pairs: Mapping[bytes, bytes], lease: int) -> None:
        """See who holds the keys of ``pairs``; put what a namesake took and left behind."""
        held = client.keys_of(lease, self._timeout)
        self._taken.difference_update(held)
        for key in [key for key in pairs if key not in held]:
            holder = client.lease_of(key, self._timeout)
            if holder is None and key in self._taken:
                client.put(key, pairs[key], lease=lease, timeout=self._timeout)
                self._taken.discard(key)
                _log.info("announced again: its namesake left", extra=_facts(key))
            elif holder and key not in self._taken:
                self._taken.add(key)
                _log.warning(
                    "another worker has this instance name now: give each an --instance of its "
                    "own, unless one replaces the other",
                    extra=_facts(key),
                )


def _facts(key: bytes) -> dict[str, str]:
    return {"entry_key": label_of(key)}
