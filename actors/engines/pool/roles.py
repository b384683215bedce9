"""What a request and its pool are to each other, and to the pool's parts: two protocols.

So that no part has to know the class of another one that knows it.
"""

from __future__ import annotations

from typing import Protocol

from actors.engines.pool.breaker import BreakerState
from actors.engines.pool.clock import Clock
from actors.engines.pool.member import Member
from actors.engines.pool.probe_queue import ProbeQueues
from actors.engines.pool.spec import ModelSpec
from actors.engines.pool.treatment import Treatment

__all__ = ["Asking", "Owner"]


class Asking(Protocol):
    """One request on its way; see ``exchange``. Any thread; compared by identity."""

    hedged: bool

    @property
    def key(self) -> str:
        """What keeps it to an instance."""
        ...

    @property
    def tried(self) -> list[Member]:
        """The members that were asked so far."""
        ...

    @property
    def over(self) -> bool:
        """Whether its client has been told the end."""
        ...

    @property
    def last_error(self) -> BaseException | None:
        """Why its last attempt failed."""
        ...

    @property
    def waits_for_one(self) -> bool:
        """Whether one member was asked and has not begun to answer."""
        ...

    def waits_at(self, member: Member) -> bool:
        """Whether ``member`` alone was asked, has not begun, and can be left."""
        ...

    def ask(self, member: Member, *, hedge: bool = False) -> None:
        """Have ``member``, which was taken for it, answer."""
        ...

    def move(self, hung: Member, member: Member) -> None:
        """Have ``member``, which was taken for it, answer instead of ``hung``."""
        ...

    def give_up(self, error: BaseException) -> None:
        """Tell its client ``error``, unless something else happened meanwhile."""
        ...


class Owner(Protocol):
    """The pool, as a request and the prober see it; see ``pool``. Any thread."""

    spec: ModelSpec
    let_go: bool

    @property
    def clock(self) -> Clock:
        """Its time."""
        ...

    @property
    def probes(self) -> ProbeQueues:
        """Where its probes wait for their turn."""
        ...

    def chance(self) -> float:
        """Draw from [0, 1)."""
        ...

    def movable(self, exchange: Asking) -> bool:
        """Whether ``exchange``, noted from now on, can be moved should its instance hang."""
        ...

    def give_back(self, member: Member, treatment: Treatment) -> None:
        """An attempt at ``member`` ended so."""
        ...

    def won(self, exchange: Asking, member: Member, started: float, *, hedge: bool) -> None:
        """``member``, asked at ``started``, has begun to answer."""
        ...

    def hedge(self, exchange: Asking) -> None:
        """Ask a second instance beside the first one, if that may be."""
        ...

    def retry(self, exchange: Asking, failed: Member, treatment: Treatment) -> bool:
        """Have another instance answer after ``failed`` did not; False if that must not be."""
        ...

    def last_word(self, error: BaseException, treatment: Treatment) -> BaseException:
        """What a client is told whose last attempt failed with ``error``."""
        ...

    def leave(self, exchange: Asking) -> None:
        """``exchange`` is over."""
        ...

    def begin_probe(self, member: Member) -> BreakerState:
        """``member`` is going to be probed."""
        ...

    def learn_probe(self, member: Member, treatment: Treatment) -> None:
        """A probe of ``member`` ended so."""
        ...
