"""Discovery: what workers announce, turned into messages to the registry.

This package's front door leaves etcd out, so that a program without one pays nothing for it:
``discovery.etcd.watch.EtcdSource`` reads entries from etcd and ``discovery.etcd.registration``
writes them; both load grpc on import.

Lowest first: ``rules``, ``entry``, ``source``, ``codec``, and ``reconcile`` are
pure; ``etcd``, ``directory`` and ``memory`` are sources; ``actor`` applies their events to the
registry.
"""

import logging as _logging

from discovery.actor import DiscoveryActor, EngineFactory, discovery_child
from discovery.codec import decode, encode, event_of, key_of, prefix_of
from discovery.entry import Entry, EntryTimeouts, Quarantined
from discovery.etcd.access import Endpoint, Endpoints
from discovery.memory import MemorySource
from discovery.source import (
    DiscoveryError,
    EntryUnusable,
    Put,
    Removed,
    Source,
    Stale,
    Synced,
    Unusable,
)
from discovery.status import DiscoveryStatus, StatusBoard

__all__ = [
    "DiscoveryActor",
    "DiscoveryError",
    "DiscoveryStatus",
    "Endpoint",
    "Endpoints",
    "EngineFactory",
    "Entry",
    "EntryTimeouts",
    "EntryUnusable",
    "MemorySource",
    "Put",
    "Quarantined",
    "Removed",
    "Source",
    "Stale",
    "StatusBoard",
    "Synced",
    "Unusable",
    "decode",
    "discovery_child",
    "encode",
    "event_of",
    "key_of",
    "prefix_of",
]

_logging.getLogger(__name__).addHandler(_logging.NullHandler())
