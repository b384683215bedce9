"""What the resources of the admin API share: the service that they show, and what they keep of it.

Short: each part has a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from actors.engines.pool import PoolListeners
from actors.supervision import CancellationToken, Tree
from http_service.admin.event_log import Events
from http_service.admin.feed import Feed
from http_service.admin.process_facts import ProcessFacts
from http_service.admin.request_log import Requests
from http_service.admin.series import Series

__all__ = ["PREFIX", "Parts", "Setting", "Subject"]

PREFIX: Final = "/admin/v1"
"""What every path of the admin API begins with."""

Setting: TypeAlias = tuple[str, Any, str]
"""Name, value, masked where it is a secret, and where it came from."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The service that is shown: its tree, what ends it, who hears of its pools, its settings."""

    tree: Tree
    token: CancellationToken
    pools: PoolListeners
    settings: Sequence[Setting]


@dataclass(frozen=True, slots=True)
class Parts:
    """The subject, and what is recorded of it."""

    subject: Subject
    events: Events
    process: ProcessFacts
    series: Series
    requests: Requests
    feed: Feed
