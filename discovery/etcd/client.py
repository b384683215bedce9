"""The only module that speaks to etcd: python-etcd3's gRPC stubs behind our own types and errors.

Rules of this file: nothing of ``grpc`` or ``etcd3`` is returned or raised; every call has a
deadline; a client is one channel to one member, thrown away after its first error (the library's
own client poisons itself for 300 s instead, and its watcher hangs in its error paths, so only the
stubs are used). Nothing imports this module before an etcd is asked for: grpc costs 0.2 s, 30 MB.

Both libraries come without type information. They are ``Any`` here, and what leaves is not.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeVar

from discovery.etcd.access import NO_AUTH, Endpoint, EtcdAccess
from discovery.etcd.records import (
    EtcdCanceled,
    EtcdCompacted,
    EtcdError,
    EtcdPlanned,
    EtcdTokenStale,
    EtcdTooLarge,
    EtcdUnavailable,
    KeyValue,
    LeaseGone,
    Snapshot,
    WatchBatch,
    check_one_distribution,
    prefix_end,
    translate,
)

__all__ = ["CHANNEL_OPTIONS", "HAS_LEADER", "PAGE", "RPC_TIMEOUT", "EtcdClient", "WatchStream"]

# With gRPC's fork handlers on, a fork anywhere in the process breaks running calls (gRPC #43055).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

with check_one_distribution():
    import etcd3.etcdrpc as _untyped_rpc
    import grpc as _untyped_grpc


_rpc: Final[Any] = _untyped_rpc  # Any on purpose: neither library ships types
_grpc: Final[Any] = _untyped_grpc

RPC_TIMEOUT: Final = 3.0
"""Seconds that one call may take; etcd answers in milliseconds or not at all."""
PAGE: Final = 1000
"""Keys in one page of a snapshot: 20,000 keys in one answer exceed gRPC's default limit."""
MAX_MESSAGE: Final = 64 * 1024 * 1024
"""Bytes of one message that are accepted: the backlog of a watch comes in one piece."""

CHANNEL_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    # A frozen member is noticed within 9 s. Without ping_timeout_ms gRPC waits for 60 s at least,
    # without max_pings_without_data=0 it stops asking. etcd hangs up on who asks three times in
    # less than 5 s each (--grpc-keepalive-min-time): a second more, for a ping that was held up.
    # gRPC reads the answers on threads of its own, so a busy interpreter is not a silent etcd.
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.enable_retries", 0),
    # etcd is a neighbour: http_proxy and the like are meant for the internet, also on loopback.
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
HAS_LEADER: Final = (("hasleader", "true"),)
"""Metadata that has a member without a leader fail the call; it would stay silent otherwise."""
SHRINK: Final = 8
"""A page that was too large is asked for again with this fraction of its keys."""
AUTH_IS_OFF: Final = "authentication is not enabled"

T = TypeVar("T")
Metadata = tuple[tuple[str, str], ...]


class EtcdClient:
    """One channel to one member; every method may be called from any thread.

    ``close`` ends whatever runs on it within milliseconds, also when the member is frozen; the
    thread that waited there gets ``EtcdUnavailable``.
    """

    def __init__(self, endpoint: Endpoint, access: EtcdAccess = NO_AUTH) -> None:
        """Raises ``EtcdRefused`` if a certificate can't be read; connects on the first call."""
        self._endpoint: Final = endpoint
        self._access: Final = access
        self._token: str | None = None  # None: not asked for yet
        self._channel: Final = _open_channel(endpoint, access)
        self._kv: Final = _rpc.KVStub(self._channel)
        self._leases: Final = _rpc.LeaseStub(self._channel)
        self._auth: Final = _rpc.AuthStub(self._channel)

    def close(self) -> None:
        """End every call in progress and the connection; idempotent."""
        self._channel.close()

    def snapshot(
        self, prefix: bytes, timeout: float = RPC_TIMEOUT, page: int = PAGE, revision: int = 0
    ) -> Snapshot:
        """All keys under ``prefix`` at one revision, read page by page, ``timeout`` each.

        ``revision`` 0 is the latest. A page that is too large is asked for in smaller ones.
        """
        entries: dict[bytes, KeyValue] = {}
        key, end, more = prefix, prefix_end(prefix), True
        while more:
            request = _rpc.RangeRequest(key=key, range_end=end, limit=page, revision=revision)
            try:
                answer = self._call(self._kv.Range, request, timeout)
            except EtcdTooLarge:
                if page == 1:
                    raise
                page = max(1, page // SHRINK)
                continue
            revision = revision or int(answer.header.revision)
            entries.update((pair.key, _key_value(pair)) for pair in answer.kvs)
            more = bool(answer.more)
            key = answer.kvs[-1].key + b"\0" if more else key
        return Snapshot(revision, entries)

    def get(self, key: bytes, timeout: float = RPC_TIMEOUT) -> KeyValue | None:
        """What stands under ``key``."""
        answer = self._call(self._kv.Range, _rpc.RangeRequest(key=key), timeout)
        return _key_value(answer.kvs[0]) if answer.kvs else None

    def put(
        self, key: bytes, value: bytes, *, lease: int = 0, timeout: float = RPC_TIMEOUT
    ) -> None:
        """Set ``key``, under ``lease`` (0 for none). Raises ``LeaseGone`` if that expired."""
        self._call(self._kv.Put, _rpc.PutRequest(key=key, value=value, lease=lease), timeout)

    def put_together(self, pairs: Mapping[bytes, bytes], timeout: float = RPC_TIMEOUT) -> None:
        """Set all of these keys at one revision; etcd takes 128 of them unless told otherwise."""
        puts = [_rpc.PutRequest(key=key, value=value) for key, value in pairs.items()]
        request = _rpc.TxnRequest(success=[_rpc.RequestOp(request_put=put) for put in puts])
        self._call(self._kv.Txn, request, timeout)

    def replace(
        self, key: bytes, value: bytes, mod_revision: int, timeout: float = RPC_TIMEOUT
    ) -> bool:
        """Set ``key``, on the lease it has, if it was last changed at ``mod_revision``.

        Return whether it was.
        """
        unchanged = _rpc.Compare(
            result=_rpc.Compare.EQUAL,
            target=_rpc.Compare.MOD,
            key=key,
            mod_revision=mod_revision,
        )
        put = _rpc.RequestOp(request_put=_rpc.PutRequest(key=key, value=value, ignore_lease=True))
        request = _rpc.TxnRequest(compare=[unchanged], success=[put])
        return bool(self._call(self._kv.Txn, request, timeout).succeeded)

    def delete(self, key: bytes, timeout: float = RPC_TIMEOUT) -> bool:
        """Remove ``key``; return whether it was there."""
        request = _rpc.DeleteRangeRequest(key=key)
        return bool(self._call(self._kv.DeleteRange, request, timeout).deleted)

    def grant(self, ttl: int, timeout: float = RPC_TIMEOUT) -> int:
        """A new lease of at least ``ttl`` seconds; its id."""
        request = _rpc.LeaseGrantRequest(TTL=ttl)
        return int(self._call(self._leases.LeaseGrant, request, timeout).ID)

    def keep_alive(self, lease: int, timeout: float = RPC_TIMEOUT) -> int:
        """Begin the lease's time again; the seconds it has now. Raises ``LeaseGone``."""
        answer: Any = self._allowed(partial(self._beat, lease, timeout), timeout)
        if answer is None:
            raise EtcdUnavailable("etcd hung up", str(self._endpoint))
        if answer.TTL <= 0:  # how etcd says that the lease is gone: no error code
            raise LeaseGone("the lease expired", f"lease {lease:x}")
        return int(answer.TTL)

    def keys_of(self, lease: int, timeout: float = RPC_TIMEOUT) -> frozenset[bytes]:
        """The keys that hang on the lease. Raises ``LeaseGone``."""
        request = _rpc.LeaseTimeToLiveRequest(ID=lease, keys=True)
        answer = self._call(self._leases.LeaseTimeToLive, request, timeout)
        if answer.TTL <= 0:
            raise LeaseGone("the lease expired", f"lease {lease:x}")
        return frozenset(answer.keys)

    def lease_of(self, key: bytes, timeout: float = RPC_TIMEOUT) -> int | None:
        """The lease that ``key`` hangs on, 0 for none; ``None`` if there is no such key."""
        answer = self._call(self._kv.Range, _rpc.RangeRequest(key=key), timeout)
        return int(answer.kvs[0].lease) if answer.kvs else None

    def revoke(self, lease: int, timeout: float = RPC_TIMEOUT) -> None:
        """End the lease and with it its keys. Raises ``LeaseGone`` if it had ended before."""
        self._call(self._leases.LeaseRevoke, _rpc.LeaseRevokeRequest(ID=lease), timeout)

    def watch(
        self,
        prefix: bytes,
        start_revision: int,
        *,
        max_age: float,
        timeout: float = RPC_TIMEOUT,
    ) -> WatchStream:
        """Watch ``prefix`` from ``start_revision`` on, for ``max_age`` seconds at most.

        The watch exists when the stream yields its first batch, ``timeout`` seconds after the
        call at the latest.
        """
        create = _rpc.WatchCreateRequest(
            key=prefix,
            range_end=prefix_end(prefix),
            start_revision=start_revision,
            progress_notify=True,
        )
        metadata = self._credentials(timeout)
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()  # Any: an untyped message
        requests.put(_rpc.WatchRequest(create_request=create))
        with _translated(self._endpoint):
            call = _rpc.WatchStub(self._channel).Watch(iter(requests.get, None), metadata=metadata)
        return WatchStream(
            self._endpoint,
            call,
            lambda: requests.put(None),
            after=start_revision - 1,
            created_within=timeout,
            max_age=max_age,
        )

    def _beat(self, lease: int, timeout: float, metadata: Metadata) -> Any:
        requests = iter((_rpc.LeaseKeepAliveRequest(ID=lease),))
        stream = self._leases.LeaseKeepAlive(requests, timeout=timeout, metadata=metadata)
        try:
            return next(stream, None)
        finally:
            stream.cancel()

    def _call(self, method: Callable[..., T], request: object, timeout: float) -> T:
        return self._allowed(
            lambda metadata: method(request, timeout=timeout, metadata=metadata), timeout
        )

    def _allowed(self, call: Callable[[Metadata], T], timeout: float = RPC_TIMEOUT) -> T:
        """Run ``call`` with what lets us in; once more if the token turned out to be stale."""
        try:
            with _translated(self._endpoint):
                return call(self._credentials(timeout))
        except EtcdTokenStale:
            self._token = None
        with _translated(self._endpoint):
            return call(self._credentials(timeout))

    def _credentials(self, timeout: float) -> Metadata:
        """The metadata of a call, a token in it if there is a user."""
        if self._access.user is None:
            return HAS_LEADER
        token = self._token
        if token is None:
            token = self._token = self._authenticate(timeout)
        return (*HAS_LEADER, ("token", token)) if token else HAS_LEADER

    def _authenticate(self, timeout: float) -> str:
        """A new token; none (empty) from an etcd whose authentication is off."""
        # NOTE: a token in the metadata, not gRPC's call credentials: those need TLS.
        request = _rpc.AuthenticateRequest(name=self._access.user, password=self._access.password)
        try:
            with _translated(self._endpoint):
                answer = self._auth.Authenticate(request, timeout=timeout, metadata=HAS_LEADER)
        except EtcdError as error:
            if AUTH_IS_OFF in str(error):
                return ""
            raise
        return str(answer.token)


class WatchStream:
    """The batches of one watch, in order; iterate once, on one thread.

    The first batch is empty: the watch exists from then on. Ends with ``EtcdPlanned`` at its
    planned age, ``EtcdCompacted``, ``EtcdCanceled``, or ``EtcdUnavailable`` (also after
    ``EtcdClient.close``), never by just stopping.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        call: Any,
        hang_up: Callable[[], None],
        *,
        created_within: float,
        max_age: float,
        after: int = 0,
    ) -> None:
        self._after: Final = after  # the revision that this etcd must have reached
        self._endpoint: Final = endpoint
        self._call: Final = call  # an untyped gRPC call
        self._hang_up: Final = hang_up
        self._created_within: Final = created_within
        self._max_age: Final = max_age
        self._verdict: EtcdError | None = None  # why an alarm ended the watch

    def __iter__(self) -> Iterator[WatchBatch]:
        # etcd accepts the stream at once and may never create the watch: a deadline of our own.
        late = EtcdUnavailable("etcd does not answer", f"{self._endpoint} created no watch")
        alarm = _alarm(self._created_within, partial(self._end, late))
        created = False
        try:
            with _translated(self._endpoint):
                for answer in self._call:
                    batch = _batch(answer)
                    if not created:
                        created = True
                        self._check_history(answer)
                        alarm.cancel()
                        aged = EtcdPlanned("the watch reached its planned age")
                        alarm = _alarm(self._max_age, partial(self._end, aged))
                    yield batch
        except EtcdUnavailable:
            if self._verdict is not None:
                raise self._verdict from None
            raise
        finally:
            alarm.cancel()
            self._call.cancel()
            self._hang_up()  # ends the iterator of requests, and with it gRPC's sending thread
        raise EtcdUnavailable("etcd hung up", str(self._endpoint))

    def _check_history(self, created: Any) -> None:
        """Refuse an etcd that is behind what was read: it would say nothing until it gets there."""
        reached = int(created.header.revision)
        if 0 < reached < self._after:
            detail = f"{self._endpoint} is at revision {reached}, {self._after} was read before"
            raise EtcdUnavailable("etcd lost its history", detail)

    def _end(self, verdict: EtcdError) -> None:
        # NOTE: not a gRPC deadline: etcd would end the call first, with an error of its own.
        self._verdict = verdict
        self._call.cancel()


def _alarm(seconds: float, ring: Callable[[], object]) -> threading.Timer:
    alarm = threading.Timer(seconds, ring)
    alarm.name = "etcd-watch-alarm"
    alarm.daemon = True
    alarm.start()
    return alarm


def _open_channel(endpoint: Endpoint, access: EtcdAccess) -> Any:
    if not endpoint.secure:
        return _grpc.insecure_channel(endpoint.target, options=CHANNEL_OPTIONS)
    files = access.certificates()
    credentials = _grpc.ssl_channel_credentials(files.ca, files.key, files.cert)
    return _grpc.secure_channel(endpoint.target, credentials, options=CHANNEL_OPTIONS)


@contextmanager
def _translated(endpoint: Endpoint) -> Generator[None]:
    """Turn what gRPC raises into our errors."""
    try:
        yield
    except _grpc.RpcError as error:
        raise translate(error.code().name, error.details() or "", str(endpoint)) from None
    except ValueError as error:  # "Cannot invoke RPC on closed channel!"
        raise EtcdUnavailable("the connection was closed", str(error)) from None


def _key_value(pair: Any) -> KeyValue:
    return KeyValue(pair.key, pair.value, pair.create_revision, pair.mod_revision)


def _batch(answer: Any) -> WatchBatch:
    """One message of the watch. A denied watch says created and canceled at once: check first."""
    if answer.compact_revision:
        raise EtcdCompacted("the history was compacted", f"up to {answer.compact_revision}")
    if answer.canceled:
        raise EtcdCanceled("etcd ended the watch", answer.cancel_reason)
    changes = tuple(
        _key_value(event.kv) if event.type == event.PUT else bytes(event.kv.key)
        for event in answer.events
    )
    return WatchBatch(_reached(answer), changes)


def _reached(answer: Any) -> int:
    """The revision up to which the watch told everything; 0 if this message does not say.

    The header's is the store's own. It can be ahead of a watch that is still catching up, and is
    to be trusted in a progress report only, which etcd never sends to one that lags.
    """
    if answer.events:
        return int(answer.events[-1].kv.mod_revision)
    return 0 if answer.created else int(answer.header.revision)
