"""Asks instances how they are, so that no request has to find out.

Only those whose engine can be asked (``probed.Probed``), and only while nothing else says how they
are: requests that go well are a better proof. One that was ejected is asked when its time is over,
which is longer each time. All of it in turn: see ``probe_queue``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from actors.engines.pool.breaker import LIMIT, BreakerState
from actors.engines.pool.member import Member
from actors.engines.pool.probe_queue import TIMEOUT, ProbeQueue
from actors.engines.pool.probed import is_probed
from actors.engines.pool.treatment import CANCELLED, SUCCESS, Treatment, treatment_of

if TYPE_CHECKING:
    from actors.engines.pool.pool import Pool

__all__ = ["INTERVAL", "JITTER", "TIMEOUT", "Prober", "seriously"]

INTERVAL: Final = 10.0
"""Seconds between two probes: an idle instance that died is found before its next request, most of
the time, at the price of a tenth of a request a second."""

JITTER: Final = 0.2
"""The part of the interval that is left to chance, so that a thousand probes don't go at once."""

DOUBTFUL: Final = 6
"""Ejections in a row, about a minute, from which on an instance stands back behind the others."""


class Prober:
    """Probes the members of one pool, each on a timer of its own."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def look_after(self, member: Member) -> None:
        """Probe ``member`` from now on until it is gone; nothing if it can't be, or is already."""
        if member.probed and not member.probing:
            member.probing = True
            self._again(member, _ended(member))

    def hasten(self, member: Member) -> None:
        """``member`` was ejected: ask it when its time out is over, not when it was planned."""
        if member.probing:
            self._again(member, _ended(member))

    def _again(self, member: Member, ended: int) -> None:
        """Plan the next look; one that was planned before counts no more."""
        pool = self._pool
        member.looks += 1
        delay = INTERVAL * (1 - JITTER * pool.chance())
        if member.breaker.state is not BreakerState.CLOSED:
            delay = max(member.breaker.until - pool.clock.monotonic(), 0.0)
        pool.clock.call_later(delay, partial(self._look, member, ended, member.looks))

    def _look(self, member: Member, ended: int, look: int) -> None:
        if look != member.looks:
            return
        if not self.wanted(member):
            member.probing = False
            return
        state = self._pool.begin_probe(member)
        busy = _ended(member) != ended and not member.breaker.harm
        if state is BreakerState.CLOSED and busy:
            self._again(member, _ended(member))
            return
        self._queue(member).ask(member.endpoint or f"{id(member):#x}", _Look(self, member))

    def wanted(self, member: Member) -> bool:
        """Whether somebody cares how ``member`` is."""
        # NOTE: one that is gone may still hold requests; they are told if it hangs.
        gone = member.gone or self._pool.let_go
        return not (gone and not member.inflight) and is_probed(member.engine)

    def done(self, member: Member, error: BaseException | None) -> None:
        """A probe of ``member`` ended, with ``error`` or well."""
        member.proven = member.proven or error is None
        self._pool.learn_probe(member, SUCCESS if error is None else seriously(treatment_of(error)))
        self._again(member, _ended(member))

    def _queue(self, member: Member) -> ProbeQueue:
        closed = member.breaker.state is BreakerState.CLOSED
        well = member.answered and (closed or member.breaker.openings < DOUBTFUL)
        return self._pool.probes.proven if well else self._pool.probes.doubtful


class _Look:
    """One member that waits for its probe; outdated once another look was planned."""

    __slots__ = ("_look", "_member", "_prober")

    def __init__(self, prober: Prober, member: Member) -> None:
        self._prober = prober
        self._member = member
        self._look = member.looks

    @property
    def wanted(self) -> bool:
        return self._look == self._member.looks and self._prober.wanted(self._member)

    def start(self, done: Callable[[BaseException | None], object]) -> None:
        engine = self._member.engine
        if is_probed(engine):
            engine.probe(done)

    def told(self, error: BaseException | None) -> None:
        if self._look == self._member.looks:
            self._prober.done(self._member, error)

    def dropped(self) -> None:
        if self._look == self._member.looks:
            self._member.probing = False


def _ended(member: Member) -> int:
    """How many requests ended at ``member``: one that hangs is given requests, and ends none."""
    return member.selections - member.inflight


def seriously(treatment: Treatment) -> Treatment:
    """A failed probe as it counts: two in a row eject, or one that found nobody listening.

    It has a question of its own, so that no failure is the client's, and none is busy.
    """
    if treatment is CANCELLED:  # this process could not even ask
        return treatment
    return Treatment(treatment.kind, retry=False, harm=max(treatment.harm, (LIMIT + 1) // 2))
