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
from typing import TYPE_CHECKING, Final

from actors.engines.contract import Context, EngineRequest, Sink
from actors.engines.pool.attempt import Attempt, Push
from actors.engines.pool.member import Member
from actors.engines.pool.treatment import SUCCESS, Treatment, treatment_of
from actors.supervision.cancellation import Registration
from actors.supervision.errors import Cancelled

if TYPE_CHECKING:
    from actors.engines.pool.pool import Pool

__all__ = ["Exchange"]

_LEFT: Final = Treatment("cancelled", retry=False)
_NOBODY_WAITS: Final = "the request was cancelled"


class Exchange:
    """Ties one request to the attempts at it. Every method may be called from any thread."""

    __slots__ = (
        "_lock",
        "_over",
        "_registration",
        "_running",
        "context",
        "key",
        "last_error",
        "pool",
        "request",
        "sink",
        "tried",
        "winner",
    )

    def __init__(
        self, pool: Pool, request: EngineRequest, sink: Sink, context: Context, key: str
    ) -> None:
        self.pool: Final = pool
        self.request: Final = request
        self.sink: Final = sink
        self.context: Final = context
        self.key: Final = key
        self.tried: list[Member] = []
        self.winner: Attempt | None = None
        self.last_error: BaseException | None = None
        """Why the last attempt failed: what the client is told when there is no other."""
        self._lock = allocate_lock()
        self._over = False
        self._running: list[Attempt] = []
        self._registration: Registration | None = None

    @property
    def over(self) -> bool:
        """Whether the client's sink has been ended, or is about to be."""
        return self._over

    def open(self) -> None:
        """Hear of the client's leaving from now on; call before the first attempt."""
        self._registration = self.context.token.on_cancel(self._cancelled)

    def ask(self, member: Member) -> None:
        """Have ``member``, which was taken for this request, answer."""
        attempt = Attempt(self, member, self.context, self.pool.clock.monotonic())
        with self._lock:
            over = self._over or self.winner is not None
            if not over:
                self.tried.append(member)
                self._running.append(attempt)
        if over:
            self.pool.give_back(member, _LEFT)
            return
        try:
            member.engine.start(self.request, attempt, attempt.context)
        except Exception as error:  # noqa: BLE001  # the treatment decides what becomes of it
            attempt.fail(error)

    # Called by attempts.

    def win(self, attempt: Attempt) -> bool:
        """``attempt`` has something to answer: True if the answer is its own from now on."""
        if self.winner is attempt:
            return not self._over
        with self._lock:
            if self._over or self.winner is not None or attempt.ended:
                return False
            self.winner = attempt
            losers = [each for each in self._running if each is not attempt]
            self._running = [attempt]
            for each in losers:
                each.ended = True
        self.pool.won(attempt, hedged=bool(losers))
        self._dismiss(losers)
        return True

    def pusher(self) -> Push:
        """What the winner pushes into."""
        return self.sink.push

    def end(self, attempt: Attempt, error: BaseException | None) -> bool:
        """The winner ended, with ``error`` or well: True if the sink is to be told so."""
        with self._lock:
            first, self._over = not self._over, True
            held, attempt.ended = not attempt.ended, True
            self._running.clear()
        self._close()
        if held:
            self.pool.give_back(attempt.member, treatment_of(error) if error else SUCCESS)
        return first

    def failed(self, attempt: Attempt, error: BaseException) -> None:
        """An attempt failed before it won: ask another instance, if that may help."""
        with self._lock:
            if attempt.ended:
                return
            attempt.ended = True
            self._running.remove(attempt)
            undecided = not self._over and self.winner is None
            alone = not self._running
        treatment = treatment_of(error)
        self.pool.give_back(attempt.member, treatment)
        if not undecided:
            return
        self.last_error = error
        if alone and not self.pool.retry(self, attempt.member, treatment):
            self.give_up(error)

    # Called by the pool.

    def give_up(self, error: BaseException) -> None:
        """Tell the client ``error``, unless it was answered, or another attempt still runs."""
        with self._lock:
            if self._over or self._running:
                return
            self._over = True
        self._close()
        self.sink.fail(error)

    def _cancelled(self) -> None:
        """The client left, or its deadline passed elsewhere."""
        with self._lock:
            if self._over:
                return
            self._over = True
            running, self._running = self._running, []
            for each in running:
                each.ended = True
        self._close()
        self._dismiss(running)
        self.sink.fail(Cancelled(_NOBODY_WAITS))

    def _dismiss(self, attempts: list[Attempt]) -> None:
        for each in attempts:
            self.pool.give_back(each.member, _LEFT)
            each.token.cancel()

    def _close(self) -> None:
        """Let go of the client's token, and of the place in the queue."""
        registration, self._registration = self._registration, None
        if registration is not None:
            registration.unregister()
        self.pool.leave(self)
