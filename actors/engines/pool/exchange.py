"""One request on its way through a pool: which attempts it makes, and which of them wins.

Invariants, each tested under its name:

1. *One answer*: the client's sink hears of one attempt only, the winner, and ends once.
2. *Nothing is kept*: every member that an attempt took is given back exactly once, whatever the
   engine, the client or the registry does.
3. *Not after the first byte*: once there is a winner nobody else is asked; nor is anybody asked
   for a client that has left.
"""

from __future__ import annotations

from _thread import allocate_lock
from typing import Final

from actors.engines.contract import Context, EngineRequest, Sink
from actors.engines.errors import EngineTimeout
from actors.engines.pool.attempt import Attempt, Push
from actors.engines.pool.member import Member
from actors.engines.pool.roles import Owner
from actors.engines.pool.treatment import CANCELLED, SUCCESS, Treatment, treatment_of
from actors.engines.pool.watch import Watch
from actors.supervision.cancellation import Registration
from actors.supervision.errors import Cancelled

__all__ = ["Exchange"]

_NOBODY_WAITS: Final = "the request was cancelled"
_HANGS: Final = "the engine does not answer"


class Exchange:
    """Ties one request to the attempts at it. Every method may be called from any thread."""

    __slots__ = (
        "_lock",
        "_over",
        "_registration",
        "_running",
        "_watch",
        "began",
        "context",
        "hedged",
        "key",
        "last_error",
        "pool",
        "request",
        "sink",
        "tried",
        "winner",
    )

    def __init__(
        self, pool: Owner, request: EngineRequest, sink: Sink, context: Context, key: str
    ) -> None:
        self.pool: Final = pool
        self.request: Final = request
        self.sink: Final = sink
        self.context: Final = context
        self.key: Final = key
        self.began = 0.0
        """When the first instance was asked, on the pool's clock."""
        self.tried: list[Member] = []
        self.winner: Attempt | None = None
        """Who answers; nobody any more once the exchange is over."""
        self.hedged = False
        """A second instance was asked beside the first one."""
        self.last_error: BaseException | None = None
        """Why the last attempt failed: what the client is told when there is no other."""
        self._lock = allocate_lock()
        self._over = False
        self._running: list[Attempt] = []
        self._registration: Registration | None = None
        self._watch: Watch | None = None

    @property
    def over(self) -> bool:
        """Whether the client's sink has been ended, or is about to be."""
        return self._over

    @property
    def running(self) -> list[Attempt]:
        """The attempts that run just now."""
        with self._lock:
            return [*self._running]

    @property
    def waits_for_one(self) -> bool:
        """Whether exactly one attempt runs, and has not begun to answer."""
        with self._lock:
            return not self._over and self.winner is None and len(self._running) == 1

    def waits_at(self, member: Member) -> bool:
        """Whether ``member`` alone was asked, has not begun, and can be left."""
        with self._lock:
            return self._left_at(member) is not None

    def _left_at(self, member: Member) -> Attempt | None:
        """The one attempt, if it is at ``member`` and can be stopped alone. Under the lock."""
        if self._over or self.winner is not None or len(self._running) != 1:
            return None
        attempt = self._running[0]
        at_it = attempt.member is member and attempt.token is not self.context.token
        return attempt if at_it else None

    def open(self, watch: Watch | None) -> None:
        """Hear of the client's leaving from now on; call before the first attempt."""
        self._watch = watch
        self._registration = self.context.token.on_cancel(self._cancelled)

    def ask(self, member: Member, *, hedge: bool = False) -> None:
        """Have ``member``, which was taken for this request, answer."""
        now = self.pool.clock.monotonic()
        watch = self._watch
        if member.trial and watch is None:
            watch = self._watch = Watch(self, self.pool.spec.timeouts)
        movable = member.probed and self.pool.movable(self)
        alone = watch is None and not movable
        attempt = Attempt(self, member, now, hedge=hedge, alone=alone)
        with self._lock:
            over = self._over or self.winner is not None
            if not over:
                if not self.tried:
                    self.began = now
                self.tried.append(member)
                self._running.append(attempt)
        if over:
            self.pool.give_back(member, CANCELLED)
            self.pool.leave(self)
            return
        if watch is not None:
            watch.began(attempt)
        try:
            member.engine.start(self.request, attempt, attempt.context)
        except BaseException as error:  # noqa: BLE001  # foreign code; the treatment decides what becomes of it
            attempt.fail(error)

    # Called by attempts.

    def win(self, attempt: Attempt) -> bool:
        """``attempt`` has something to answer: True if the answer is its own from now on."""
        with self._lock:
            if self._over or attempt.ended:
                return False
            if self.winner is not None:
                return self.winner is attempt  # it has won just now, on another thread
            self.winner = attempt
            losers = self._lose_others(attempt) if len(self._running) > 1 else None
        # PERF: a healthy member that was asked first needs no word of it before the end.
        first = len(self.tried) == 1 and attempt.member.healthy
        if not first or self.pool.spec.hedge_after is not None:
            self.pool.won(self, attempt.member, attempt.started, hedge=attempt.hedge)
        if losers:
            self._dismiss(losers)
        return True

    def _lose_others(self, winner: Attempt) -> list[Attempt]:
        losers = [each for each in self._running if each is not winner]
        self._running = [winner]
        for each in losers:
            each.retire()
        return losers

    def pusher(self, winner: Attempt) -> Push:
        """What the winner pushes into from now on."""
        push, watch = self.sink.push, self._watch
        return push if watch is None else watch.won(winner, push)

    def end(self, attempt: Attempt, error: BaseException | None) -> bool:
        """The winner ended, with ``error`` or well: True if the sink is to be told so."""
        with self._lock:
            first, self._over = not self._over, True
            held = not attempt.ended
            attempt.retire()
            self._running.clear()
            self.winner = None  # PERF: or each request would leave a cycle to the collector
        self._close()
        if held:
            self.pool.give_back(attempt.member, self._judge(error) if error else SUCCESS)
        return first

    def failed(self, attempt: Attempt, error: BaseException) -> None:
        """An attempt failed before it won: ask another instance, if that may help."""
        with self._lock:
            if attempt.ended:
                return
            won = self.winner is attempt  # just now, on another thread
            if not won:
                attempt.retire()
                self._running.remove(attempt)
            undecided = not self._over and self.winner is None
            alone = not self._running
        if won:
            if self.end(attempt, error):
                self.sink.fail(error)
            return
        treatment = self._judge(error)
        self.pool.give_back(attempt.member, treatment)
        if not undecided:
            return
        self.last_error = error
        if alone and not self.pool.retry(self, attempt.member, treatment):
            self.give_up(self.pool.last_word(error, treatment))

    def _judge(self, error: BaseException) -> Treatment:
        """What ``error`` means; nothing once the client left or its time is over.

        An engine that minds the client's deadline itself may tell of it as its own timeout.
        """
        context = self.context
        late = context.deadline is not None and self.pool.clock.monotonic() >= context.deadline
        return CANCELLED if late or context.token.cancelled else treatment_of(error)

    # Called by the pool.

    def give_up(self, error: BaseException) -> None:
        """Tell the client ``error``, unless it was answered, or another attempt still runs."""
        with self._lock:
            if self._over or self._running:
                return
            self._over = True
        self._close()
        self.sink.fail(error)

    def move(self, hung: Member, member: Member) -> None:
        """Have ``member``, taken for this request, answer instead of ``hung``."""
        with self._lock:
            left = self._left_at(hung)
            if left is not None:
                left.retire()
                self._running.clear()
        if left is None:
            self.pool.give_back(member, CANCELLED)
            return
        self.last_error = EngineTimeout(_HANGS)
        self._dismiss([left])
        self.ask(member)

    def expire(self, error: BaseException) -> None:
        """The time for the whole answer is over: whoever is at it is told to stop.

        That tells nothing of an instance: clients may give as little time as they like.
        """
        self._stop(error)

    def _cancelled(self) -> None:
        """The client left, or its deadline passed elsewhere."""
        self._stop(Cancelled(_NOBODY_WAITS))

    def _stop(self, error: BaseException) -> None:
        with self._lock:
            if self._over:
                return
            self._over, self.winner = True, None
            running, self._running = self._running, []
            for each in running:
                each.retire()
        self._close()
        # The sink first, or the engine's own "cancelled" would be the reason told.
        self.sink.fail(error)
        self._dismiss(running)

    def _dismiss(self, attempts: list[Attempt]) -> None:
        for each in attempts:
            self.pool.give_back(each.member, CANCELLED)
            each.token.cancel()

    def _close(self) -> None:
        """Let go of the client's token, of the place in the queue, and of who points back here."""
        self.last_error = None
        registration, self._registration = self._registration, None
        if registration is not None:
            registration.unregister()
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
        self.pool.leave(self)
