"""What the resources of the admin API share: the service that they show, and what they keep of it.

Short: each part has a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from actors.engines.pool import PoolListeners
from actors.supervision import CancellationToken, Tree
from http_service.admin.event_log import Events, Take
from http_service.admin.feed import Feed
from http_service.admin.process_facts import ProcessFacts
from http_service.admin.request_log import Requests
from http_service.admin.series import Series
from http_service.telemetry.ended_requests import EndedRequest

__all__ = ["PREFIX", "CantRewrite", "Moved", "Parts", "Rewrite", "Setting", "Subject", "latest"]

PREFIX: Final = "/admin/v1"
"""What every path of the admin API begins with."""

Setting: TypeAlias = tuple[str, Any, str]
"""Name, value, masked where it is a secret, and where it came from."""


class Moved(Exception):
    """An announcement was changed between the look and the write."""


class CantRewrite(Exception):
    """An announcement can't be changed at its source; the text says why, for operators."""


Rewrite: TypeAlias = Callable[[str, str, str, Mapping[str, Any]], Mapping[str, Any]]
"""``(kind, model, instance, fields)``: changes an announcement, returns what the fields were.

It waits. Raises :class:`Moved` and :class:`CantRewrite`.
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """The service that is shown: its tree, what ends it, who hears of its pools, its settings.

    ``rewrite`` changes an announcement where it stands.
    """

    tree: Tree
    token: CancellationToken
    pools: PoolListeners
    settings: Sequence[Setting]
    rewrite: Rewrite


@dataclass(frozen=True, slots=True)
class Parts:
    """The subject, and what is recorded of it."""

    subject: Subject
    events: Events
    process: ProcessFacts
    series: Series
    requests: Requests
    feed: Feed


def latest(parts: Parts) -> Sequence[EndedRequest]:
    """Every request that is kept, those that have just ended too while the log is up."""
    log = parts.subject.tree.address("requests")
    if log.alive:
        log.tell(Take())
    return parts.requests.ring.all()
