"""What a route is: one row of the route table in ``routes``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import msgspec

__all__ = [
    "EVENTS",
    "JSON",
    "TEXT",
    "Route",
]

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
TEXT: Final = "text/plain"
_OK: Final = MappingProxyType({200: "OK"})


@dataclass(frozen=True, slots=True)
class Route:
    """One path, who answers on it, and what the OpenAPI document says of it.

    ``path`` is in Falcon's syntax (``{model:path}`` spans slashes). ``resource`` makes the Falcon
    resource from ``Services``. ``answers`` maps each status that is this route's own to its
    meaning; ``content`` are the media types of its success. ``body``, ``result`` and ``event`` are
    the schemas of the request's body, of its success and of one event of its stream.
    ``own_errors`` are the statuses from 400 whose document is a ``result``, too. ``enabled`` names
    the setting that switches the route, "" where it is always there. ``part_of`` is the path of the
    route whose resource answers this one too: Falcon can't route what comes after a field that
    spans slashes.
    """

    path: str
    method: str
    name: str
    summary: str
    resource: Callable[[Any], object]
    answers: Mapping[int, str] = field(default_factory=lambda: _OK)
    content: tuple[str, ...] = (JSON,)
    body: type[msgspec.Struct] | None = None
    result: type[msgspec.Struct] | None = None
    event: type[msgspec.Struct] | None = None
    own_errors: frozenset[int] = frozenset()
    enabled: str = ""
    part_of: str = ""
