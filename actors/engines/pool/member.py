"""One instance as its pool sees it: what was said of it, and what was seen of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from actors.engines.contract import Engine
from actors.engines.pool.breaker import Breaker
from actors.engines.pool.probed import Probed
from actors.engines.pool.spec import InstanceSpec

__all__ = ["Member", "Place"]


class Place(StrEnum):
    """Where a member is kept; it is in exactly one place."""

    OUT = "out"
    """Draining, full or gone: nobody may choose it."""
    ROTATION = "rotation"
    """With the policy, which chooses from these."""
    SUSPECT = "suspect"
    """Its breaker is not closed, or it asked for a pause: chosen when nobody else is left."""


class Member:
    """One instance of a pool; guarded by the pool's lock, as everything in it.

    Invariant: ``inflight`` is the number of attempts that were given to it and have not ended.
    """

    __slots__ = (
        "breaker",
        "bucket",
        "endpoint",
        "engine",
        "failures",
        "gone",
        "healthy",
        "id",
        "inflight",
        "last_error",
        "paused_until",
        "place",
        "position",
        "probed",
        "seen",
        "selections",
        "serial",
        "since",
        "spec",
        "trial",
        "turn",
        "warm_from",
        "weight",
    )

    def __init__(
        self, id_: str, engine: Engine, spec: InstanceSpec, endpoint: str, now: float
    ) -> None:
        self.id: Final = id_
        self.engine = engine
        self.spec = spec
        self.endpoint = endpoint
        self.inflight = 0
        self.selections = 0
        self.failures = 0
        self.last_error: str | None = None
        """The kind of its last failure (``treatment``), never its words."""
        self.since = now
        """When it came into its present state, on the pool's clock."""
        self.breaker: Final = Breaker()
        self.paused_until = 0.0
        self.trial = False
        """A request is out to find out whether it has recovered."""
        self.probed = isinstance(engine, Probed)
        """Its engine can be asked how it is: no request has to find out."""
        self.gone = False
        self.healthy = False
        self.place = Place.OUT
        self.weight = spec.weight
        """Its weight just now: less than it says while it starts slowly."""
        self.warm_from = now
        # The policies' own notes, here because a slot is the cheapest place to look.
        self.bucket = 0.0
        self.position = -1
        self.turn = -1.0
        self.serial = 0
        self.seen = 0

    def __repr__(self) -> str:
        return f"<Member {self.id} {self.place}, {self.inflight} in flight>"

    def renew(self, engine: Engine, spec: InstanceSpec) -> None:
        """It was announced anew: what was seen of it stays."""
        self.engine = engine
        self.spec = spec
        self.probed = isinstance(engine, Probed)

    @property
    def full(self) -> bool:
        """Whether it has as many requests as it may."""
        limit = self.spec.max_concurrency
        return limit is not None and self.inflight >= limit

    @property
    def load(self) -> float:
        """What it would carry for its weight with one request more."""
        return (self.inflight + 1) / self.weight
