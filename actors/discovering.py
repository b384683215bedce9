"""Starts discovery and makes the engines that relay to what it finds; imported only on demand."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from prometheus_client import CollectorRegistry

from actors.engines.contract import Engine, Kind
from actors.engines.upstream import (
    CONNECT_TIMEOUT,
    Tls,
    UpstreamEngine,
)
from actors.engines.upstream.reach import AddressRefused, Reach
from actors.etcd_options import etcd_access
from actors.settings.serve import ServeSettings
from actors.supervision import Tree
from discovery import (
    Endpoints,
    Entry,
    EntryUnusable,
    Source,
    StatusBoard,
    discovery_child,
    event_of,
    prefix_of,
)
from discovery.metrics import DiscoveryMetrics
from discovery.rewriting import AnnouncementMoved, Rewriter
from discovery.source import DiscoveryError
from http_service import Component, ComponentStatus

__all__ = ["SOURCES", "discover", "engine_of", "rewrite", "upstream_tls"]


def discover(
    tree: Tree,
    settings: ServeSettings,
    make_engine: Callable[[Entry], Engine],
    registry: CollectorRegistry,
) -> Sequence[Component]:
    """Add discovery from each source to the tree; return the readiness component of each.

    Raises ``ValueError``.
    """
    boards: list[StatusBoard] = []
    for setting, make in SOURCES.items():
        if getattr(settings, setting):
            boards.append(_discover(tree, make(settings), make_engine, first=not boards))
    registry.register(DiscoveryMetrics(settings.metrics_prefix, boards))
    return [_component(board, first=board is boards[0]) for board in boards]


def _etcd_source(settings: ServeSettings) -> Source:
    # PERF: imported late, as each source is: a service without etcd does not hold grpc's 17 MiB.
    from discovery.etcd.client import EtcdClient
    from discovery.etcd.watch import EtcdSource

    endpoints, access = Endpoints.parse(settings.etcd), etcd_access(settings)
    root = settings.etcd_access.root
    return EtcdSource(
        endpoints,
        prefix_of(root),
        read=partial(event_of, root=root),
        connect=partial(EtcdClient, access=access),
    )


def _directory_source(settings: ServeSettings) -> Source:
    from discovery.directory.source import DirectorySource

    return DirectorySource(settings.discovery_dir)


SOURCES: Final[Mapping[str, Callable[[ServeSettings], Source]]] = MappingProxyType({
    "etcd": _etcd_source,
    "discovery_dir": _directory_source,
})  # fmt: skip
"""By the setting that asks for it: makes the source.

The first one that is asked for is "discovery" in readiness, the others have their name added.
"""


def _etcd_rewriter(settings: ServeSettings) -> Rewriter:
    from discovery.etcd.client import EtcdClient
    from discovery.etcd.rewriting import EtcdRewriter

    connect = partial(EtcdClient, access=etcd_access(settings))
    return EtcdRewriter(Endpoints.parse(settings.etcd), settings.etcd_access.root, connect)


def _directory_rewriter(settings: ServeSettings) -> Rewriter:
    from discovery.directory.rewriting import DirectoryRewriter

    return DirectoryRewriter(settings.discovery_dir)


REWRITERS: Final[Mapping[str, tuple[str, Callable[[ServeSettings], Rewriter]]]] = MappingProxyType({
    "etcd": ("etcd", _etcd_rewriter),
    "discovery_dir": ("directory", _directory_rewriter),
})  # fmt: skip
"""By the setting that asks for the source: its name, and what writes to it."""


def rewrite(
    settings: ServeSettings, kind: str, model: str, instance: str, fields: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Change the announcement of the pool's ``instance`` at its source; what ``fields`` were.

    Raises ``CantRewrite`` and ``Moved`` of ``http_service.admin``.
    """
    from http_service.admin import CantRewrite, Moved  # PERF: late: a console may not be wanted

    asked = [row for setting, row in REWRITERS.items() if getattr(settings, setting)]
    origin, separator, name = instance.rpartition("#")
    wanted = asked[:1] if not separator else [row for row in asked[1:] if row[0] == origin]
    if not wanted:
        raise CantRewrite("No source announced this instance: it is a part of this front-end")
    try:
        return wanted[0][1](settings).rewrite(Kind(kind), model, name, fields)
    except AnnouncementMoved as error:
        raise Moved(f"{error}: look again, and repeat it if it is still wanted") from error
    except DiscoveryError as error:
        raise CantRewrite(str(error)) from error


def _discover(
    tree: Tree,
    source: Source,
    make_engine: Callable[[Entry], Engine],
    *,
    first: bool,
) -> StatusBoard:
    """Add discovery from one source to the tree; return its status board."""
    board = StatusBoard(source.name)
    # Instances of a second source get its name as a prefix: neither source displaces the other.
    origin = "" if first else source.name
    tree.start_child(
        discovery_child(
            source,
            tree.address("registry"),
            make_engine,
            origin=origin,
            board=board,
            id="discovery" if first else f"discovery-{source.name}",
        )
    )
    return board


def _component(board: StatusBoard, *, first: bool) -> Component:
    """How readiness may ask about one source."""

    def status() -> ComponentStatus:
        now = board.status
        why = f"no models read from {now.source} yet: {now.last_error}"
        details = board.describe()
        private = {name: details.pop(name) for name in ("quarantined", "unknown_fields")}
        reason = None if now.synced_once else why
        return ComponentStatus(now.synced_once, reason, details, for_operators=private)

    return Component("discovery" if first else f"discovery-{board.status.source}", status)


def upstream_tls(settings: ServeSettings) -> Tls:
    """How https upstreams are spoken to. Raises ``ValueError`` that names the file at fault."""
    names = (settings.upstream_ca, settings.upstream_cert, settings.upstream_key)
    ca, cert, key = (Path(name) if name else None for name in names)
    tls = Tls(ca_file=ca, cert_file=cert, key_file=key)
    if tls.cert_file is None and tls.key_file is not None:
        raise ValueError("--upstream-key is given without its --upstream-cert: give both")
    if tls != Tls():
        tls.context()  # an unusable file fails now, not at the first request
    return tls


def engine_of(tls: Tls, reach: Reach, silence: float, entry: Entry) -> Engine:
    """The engine that relays to an announced worker. Raises ``EntryUnusable``.

    ``silence`` in seconds, before the first token and after it, is what an entry can change.
    """
    key = None if entry.api_key_env is None else _upstream_key(entry.api_key_env)
    times = entry.timeouts
    try:
        return UpstreamEngine(
            entry.url,
            unary=entry.unary,
            speaks=entry.speaks,
            api_key=key,
            api_key_header=entry.api_key_header,
            connect_timeout=times.connect or CONNECT_TIMEOUT,
            first_byte_timeout=times.first_byte or silence,
            idle_timeout=times.idle or silence,
            tls=tls,
            reach=reach,
        )
    except AddressRefused as error:
        raise EntryUnusable(str(error)) from None
    except (OSError, ValueError) as error:
        # A URL was checked when the entry was read, the files only now.
        why = "the files of --upstream-ca, --upstream-cert and --upstream-key can't be used now"
        raise EntryUnusable(why) from error


def _upstream_key(variable: str) -> str:
    """The bearer key in that variable. Raises ``EntryUnusable``; the key is not repeated."""
    key = os.environ.get(variable, "").strip()  # secrets often come with a line end
    if not key:
        raise EntryUnusable(f"this front-end has no variable {variable}")
    if not (key.isascii() and key.isprintable()):
        raise EntryUnusable(f"this front-end's variable {variable} must hold one line of ASCII")
    return key
