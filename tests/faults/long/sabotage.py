"""Watch loops broken on purpose: a chaos run that they pass would prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from actors.supervision.cancellation import CancellationToken
from discovery.etcd.access import Endpoint, Endpoints
from discovery.etcd.client import EtcdClient
from discovery.etcd.records import KeyValue, Snapshot, WatchBatch
from discovery.etcd.watch import EtcdSource, WatchTimes
from discovery.source import Deliver, Event, Put, Removed, Source, Stale, Unusable

__all__ = ["SABOTAGES"]


class _Mirror:
    """Entries as the watch told them, in place of every snapshot but the first."""

    def __init__(self) -> None:
        self.known: dict[bytes, KeyValue] | None = None

    def connect(self, endpoint: Endpoint) -> EtcdClient:
        return _Trusting(endpoint, self)


class _Trusting(EtcdClient):
    def __init__(self, endpoint: Endpoint, mirror: _Mirror) -> None:
        super().__init__(endpoint)
        self._mirror = mirror

    def snapshot(self, prefix: bytes, *args: Any, **options: Any) -> Snapshot:
        real = super().snapshot(prefix, *args, **options)
        if self._mirror.known is None:
            self._mirror.known = dict(real.entries)
        return Snapshot(real.revision, dict(self._mirror.known))

    def watch(self, *args: Any, **options: Any) -> Any:
        return self._copied(iter(super().watch(*args, **options)))

    def _copied(self, batches: Iterator[WatchBatch]) -> Iterator[WatchBatch]:
        known = self._mirror.known
        assert known is not None
        for batch in batches:
            for change in batch.changes:
                if isinstance(change, KeyValue):
                    known[change.key] = change
                else:
                    known.pop(change, None)
            yield batch


def _without_snapshots(endpoint: str) -> Source:
    """After an outage it goes on watching from now, and believes to know the rest."""
    connect = _Mirror().connect
    times = WatchTimes(max_age=7.0)
    return EtcdSource(Endpoints.parse(endpoint), b"/models/", times=times, connect=connect)


class _Panicking:
    """Takes an outage for the end of every worker."""

    name = "etcd"

    def __init__(self, source: Source) -> None:
        self._source = source

    def run(self, deliver: Deliver, token: CancellationToken) -> None:
        known: dict[str, Put | Unusable] = {}

        def changed(event: Event) -> None:
            if isinstance(event, Stale):
                for id_ in known:
                    deliver(Removed(id_))
            elif isinstance(event, Put | Unusable):
                known[event.id] = event
            elif isinstance(event, Removed):
                known.pop(event.id, None)
            else:
                for put in known.values():
                    deliver(put)
            deliver(event)

        self._source.run(changed, token)


def _deleting_in_an_outage(endpoint: str) -> Source:
    return _Panicking(EtcdSource(Endpoints.parse(endpoint), b"/models/"))


SABOTAGES: Final[Mapping[str, Callable[[str], Source]]] = MappingProxyType(
    {"no-snapshot": _without_snapshots, "panic": _deleting_in_an_outage}
)
