"""A request that has ended, as operators are shown it: what is known then, and never its text.

PERF: a request leaves one plain tuple, in the order of :class:`EndedRequest`'s fields after the
first, and only where there is a log of them; what that means is found out when it is looked at.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from actors.engines.pool.tries import Try
from http_service.telemetry.access_log import AccessRecord

__all__ = ["EndedRequest", "NoteEnded", "RawEnded", "refused"]

RawEnded: TypeAlias = tuple[Any, ...]
NoteEnded: TypeAlias = Callable[[RawEnded], object]


class EndedRequest(NamedTuple):
    """One request; ``arrived``, ``counted``, ``asked`` are on the monotonic clock, in seconds.

    ``arrived`` is when it was taken up, ``counted`` when it was found valid, ``asked`` when its
    first instance was asked; ``elapsed`` is from ``counted`` to the end, ``first_token`` too.
    ``tries`` are there where more than one instance was asked, ``arrivals`` of its tokens where
    that was looked at.
    """

    sequence: int
    id: str
    status: int
    arrived: float
    counted: float
    elapsed: float
    asked: float | None
    model: str | None
    kind: str | None
    endpoint: str | None
    request_type: str | None
    error_type: str | None
    tokens: int | None
    first_token: float | None
    instance: str | None
    tries: Sequence[Try] | None
    arrivals: array[float] | None
    input_tokens: int | None

    @property
    def ended(self) -> float:
        """When it ended, on the monotonic clock."""
        return self.counted + self.elapsed

    @property
    def outcome(self) -> str:
        """As in the access log; ``success`` where that names no error."""
        return self.error_type or "success"


_NONE: Final = (None, None, None, None)


def refused(record: AccessRecord, arrived: float, endpoint: str) -> RawEnded:
    """What a request leaves that was refused before an engine was asked for."""
    return (
        record.request_id, record.status, arrived, arrived, record.elapsed_ms / 1000, None,
        record.model, None, record.endpoint or endpoint, record.request_type,
        record.error_type or ("refused" if record.status >= 400 else None), record.tokens, None,
        *_NONE,
    )  # fmt: skip
