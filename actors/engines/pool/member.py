"""One instance as its pool sees it: what was said of it, and what was seen of it."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

from actors.engines.contract import Engine
from actors.engines.pool.breaker import Breaker
from actors.engines.pool.probed import is_probed
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
        "keeps_time",
        "last_error",
        "limit",
        "looks",
        "open",
        "paused_until",
        "place",
        "position",
        "probed",
        "probing",
        "proven",
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
        self.limit = _limit(spec)
        """Requests that it takes at once."""
        self.open = not spec.draining
        """It takes new requests: it is neither draining nor gone."""
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
        self.probed = is_probed(engine)
        """Its engine can be asked how it is: no request has to find out."""
        self.probing = False
        """A prober looks after it."""
        self.proven = False
        """It has answered a probe."""
        self.looks = 0
        """The looks that the prober planned: the last one counts."""
        self.keeps_time = _keeps_time(engine)
        """Its engine bounds its own connect, first byte and silences."""
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
        self.limit = _limit(spec)
        self.open = not spec.draining
        self.probed = is_probed(engine)
        self.keeps_time = _keeps_time(engine)

    @property
    def answered(self) -> bool:
        """Whether it has ever answered a request or a probe, as far as is known."""
        return self.proven or self.selections - self.inflight > self.failures

    @property
    def load(self) -> float:
        """What it would carry for its weight with one request more."""
        return (self.inflight + 1) / self.weight


def _limit(spec: InstanceSpec) -> float:
    return math.inf if spec.max_concurrency is None else spec.max_concurrency


def _keeps_time(engine: Engine) -> bool:
    """Whether ``engine`` says that it enforces timeouts itself, as one that relays does."""
    return getattr(engine, "keeps_time", False) is True
