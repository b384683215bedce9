"""Changes one announcement where it stands, so that every front-end follows it.

Each source that can do it has a ``Rewriter`` of its own beside it. The change is a compare and set:
it happens only if the announcement is still what was read. A worker that announces itself again,
as after a restart, says its own settings again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from actors.engines.contract import Kind
from discovery.source import DiscoveryError

__all__ = [
    "AnnouncementMoved",
    "Fields",
    "NotAnnounced",
    "NotWritten",
    "Rewriter",
    "with_fields",
]

Fields: TypeAlias = Mapping[str, Any]
"""Fields of an entry by name; ``None`` leaves one out."""

_DEFAULTS: Final[Fields] = {"state": "serving", "weight": 1.0}
"""What a field means that is left out."""


class NotAnnounced(DiscoveryError):
    """The source holds no such announcement."""


class AnnouncementMoved(DiscoveryError):
    """The announcement was changed between the look and the write."""


class NotWritten(DiscoveryError):
    """The source can't be written now; the text says why, without addresses."""


class Rewriter(Protocol):
    """Writes to one source; every method may be called from any thread, and waits."""

    def rewrite(self, kind: Kind, model: str, instance: str, fields: Fields) -> Fields:
        """Set ``fields`` of one announcement; what they were before.

        Raises :class:`NotAnnounced`, :class:`AnnouncementMoved` or :class:`NotWritten`.
        """
        ...


def with_fields(value: bytes, fields: Fields) -> tuple[bytes, Fields]:
    """The announcement ``value`` with ``fields``, all else as it is; and what they were. Pure.

    Raises ``ValueError`` if it isn't a JSON object.
    """
    try:
        members = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        raise ValueError(f"it is not a JSON object: {error}") from None
    before = {name: _value(members.get(name), name) for name in fields}
    for name, new in fields.items():
        if new is None:
            members.pop(name, None)
        else:
            members[name] = msgspec.Raw(msgspec.json.encode(new))
    return msgspec.json.encode(members), before


def _value(raw: msgspec.Raw | None, name: str) -> Any:
    value = None if raw is None else msgspec.json.decode(raw)
    return _DEFAULTS.get(name) if value is None else value
