"""One request on its way through a pool: which instances it asks, and which of them answers.

Invariants, each tested under its name:

1. *One answer*: the client hears of one attempt only, the one that started, and of one end.
2. *Nothing is kept*: every instance that was taken for an attempt is given back exactly once,
   whatever the engine, the client or the registry does.
3. *Not after the first byte*: once an answer has started no other instance is asked; nor is one
   for a client that has left.

Its states and events are the table in ``request_state``. An attempt that is *live* holds its
instance: while the request is ASKED it may start, while the request is STARTED it is the one that
answers. Attempts are retired, and states change, under the request's lock.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias, cast

from actors.engines.contract import Chunk, Context, EngineRequest
from actors.engines.errors import EngineTimeout
from actors.engines.pool.attempt import AnswerReceiver, Attempt, LaterAttempts, TimedAttempt, hold
from actors.engines.pool.failures import CANCELLED, SUCCESS, FailureClass, classify
from actors.engines.pool.instance import Instance
from actors.engines.pool.policies import Key
from actors.engines.pool.request_state import TRANSITIONS, Event, State
from actors.engines.pool.request_timer import RequestTimer
from actors.engines.pool.tries import Try, note_end

if TYPE_CHECKING:
    from actors.engines.pool.pool import Pool
    from actors.engines.pool.takeover import Takeover
    from actors.engines.pool.transcript import Transcript

__all__ = ["PoolRequest", "Side"]

# PERF: looked up for each chunk.
_WAITING, _ASKED, _STARTED = State.WAITING, State.ASKED, State.STARTED
_START, _FINISH = Event.START, Event.FINISH

# What a request has not yet: these attributes are looked at for each request, and are always set
# by the time that their methods are called.
_NO_POOL: Final = cast("Pool", None)
_NO_MEMBER: Final = cast("Instance", None)


class PoolRequest(AnswerReceiver):
    """A request, and the sink of the first instance that it asks. Any thread.

    ``Pool.begin`` starts it, once; the client's side ends it by :meth:`abort`, and leaves
    ``context`` alone: that is the first attempt's, which may be stopped while another one answers.

    An answer starts with its first token, with its second chunk that is no comment, or by ending
    well. What came before is held back, so that an instance that dies after telling its role can
    still be replaced; of many comments the first. A request that waits for ``COMMENTS_AFTER`` gets
    its comments at once: they say nothing, so that another instance may still answer.

    PERF: while ``state`` is STARTED and ``first_live`` is true, what is pushed is the answer: a
    subclass may override :meth:`push` to deliver that directly, and calls this one otherwise. No
    lock is needed: as with any push, one may come beside an abort on another thread.
    """

    __slots__ = (
        "_later", "began", "context", "first_live", "held", "instance", "key", "lock", "pool",
        "request", "state", "takeover", "timer", "transcript", "tries",
    )  # fmt: skip

    takes_over: ClassVar[bool] = True
    """Whether another instance may go on with its answer; the rest of one is not gone on with."""

    def __init__(self, request: EngineRequest, context: Context) -> None:
        self.request = request
        """What is asked."""
        self.context = context
        self.pool = _NO_POOL
        self.state = _WAITING
        self.first_live = True
        """What the first instance pushes is wanted; false for good once it is retired."""
        self.instance = _NO_MEMBER
        """The first instance that was asked."""
        self.key: Key = ""
        """What keeps it to an instance."""
        self.began: float
        """When the first instance was asked, on the pool's clock; set then."""
        self.lock = allocate_lock()
        """Held while ``state`` changes, and while an attempt is retired."""
        self.timer: RequestTimer | None = None
        self.held: list[tuple[Chunk, int]] | None = None
        self._later: LaterAttempts | None = None
        self.tries: list[Try] | None = None
        """What became of each instance that was asked, where it was more than one."""
        self.transcript: Transcript | None = None
        """What has reached the client, where another instance may go on."""
        self.takeover: Takeover | None = None
        """What goes on with the answer since the instance that began it failed."""

    # The first instance's sink.

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """One chunk of the first instance's."""
        if self.state is not _STARTED:
            if tokens <= 0 and hold(self, self, chunk):
                return
            if not self.start_with(self):
                return
        if self.first_live:
            self.deliver(chunk, tokens)

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up."""
        return self.room(when_room)

    def answer(self, body: bytes) -> None:
        """The whole answer of the first instance."""
        if self.end_with(self):
            self.deliver_answer(body)

    def finish(self) -> None:
        """The first instance has pushed everything."""
        if (self.held is None or self.start_with(self)) and self.end_with(self):
            self.deliver_end()

    def fail(self, error: BaseException) -> None:
        """The first instance failed: another may take over, if the answer has not started."""
        if self.state is not _STARTED:
            self.fail_early(self, error)
        elif self.end_with(self, error):
            self.end_badly(self, error)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state is State.FINISHED or self.state is State.ABORTED

    @property
    def tried(self) -> Sequence[Instance]:
        """The instances that were asked so far."""
        if self._later is not None:
            return self._later.tried
        return () if self.instance is _NO_MEMBER else (self.instance,)

    @property
    def hedged(self) -> bool:
        """Whether a second instance was asked beside the first one."""
        return self._later is not None and self._later.hedged

    @property
    def last_error(self) -> BaseException | None:
        """Why the last attempt failed: what the client is told when there is no other."""
        return None if self._later is None else self._later.last_error

    @property
    def waits_for_one(self) -> bool:
        """Whether exactly one attempt runs, and has not begun to answer."""
        with self.lock:
            return self.state is _ASKED and len(self._running()) == 1

    def waits_at(self, instance: Instance) -> bool:
        """Whether ``instance`` alone was asked, and has not begun to answer."""
        with self.lock:
            return self._only_at(instance) is not None

    # The client's side.

    def abort(self, error: BaseException, *, tell: bool) -> None:
        """The client left, or its time is over: stop what is at it. Nothing if it has ended.

        With ``tell`` the client is told ``error``: before the engines hear, or their own
        "cancelled" would be the reason told. It says nothing of an instance: clients may give as
        little time as they like.
        """
        with self.lock:
            over, takeover = self.over, self.takeover
            if not over:
                self.state = TRANSITIONS[self.state][Event.ABORT]
            running = [] if over else self._detach_all()
        if over:
            if takeover is not None:
                takeover.abort(error, tell=tell)
            return
        self.close()
        if tell:
            self.deliver_error(error)
        self._cancel_losers(running)

    # Called by the pool.

    def ask(self, instance: Instance, *, hedge: bool = False) -> None:
        """Have ``instance``, which was taken for it, answer."""
        pool = self.pool
        now = pool.clock.monotonic()
        if instance.trial and self.timer is None:
            self.timer = RequestTimer(self, pool.spec.timeouts)
        pool.note_reroutable(self, instance)
        with self.lock:
            over = self.state is not _WAITING and self.state is not _ASKED
            side = self if over else self._open(instance, now, hedge=hedge)
        if over:
            self.close()
            pool.give_back(instance, CANCELLED)
            return
        timer = self.timer
        if timer is not None:
            timer.asked(side, now)
        try:
            instance.engine.start(self.request, side, side.context)
        except BaseException as error:  # noqa: BLE001  # foreign code; the failure class decides what becomes of it
            side.fail(error)

    def _open(self, instance: Instance, now: float, *, hedge: bool) -> Side:
        """Note that ``instance`` is asked; what its engine pushes into. Under the lock."""
        self.state = TRANSITIONS[self.state][Event.ASK]
        silence = None if self.timer is None else self.timer.silence_at(instance)
        first = self.instance is _NO_MEMBER
        if first:
            self.instance, self.began = instance, now
            if silence is None and self.transcript is None:
                return self
            self.first_live = False  # an attempt of its own sees its silences
        later = self._made_later()
        if not first:
            later.tried.append(instance)
            if self.tries is not None:
                self.tries.append(Try(instance.id, now))
        later.hedged = later.hedged or hedge
        make = Attempt if silence is None else TimedAttempt
        attempt = make(self, instance, now, hedge=hedge)
        later.running.append(attempt)
        return attempt

    def give_up(self, error: BaseException) -> None:
        """Tell the client ``error``, unless it has ended, or an attempt still runs."""
        with self.lock:
            if self.state is not _WAITING:
                return
            self.state = TRANSITIONS[self.state][Event.GIVE_UP]
            self.first_live = False
        self.close()
        self.deliver_error(error)

    def move(self, hung: Instance, instance: Instance) -> None:
        """Have ``instance``, taken for it, answer instead of ``hung``."""
        with self.lock:
            left = self._only_at(hung)
            if left is not None:
                self.state = TRANSITIONS[self.state][Event.LOSE]
                self._detach(left)
                self._made_later().last_error = EngineTimeout("the engine does not answer")
                note_end(self.tries or (), hung.id, self.pool.clock.monotonic(), "timeout")
        if left is None:
            self.pool.give_back(instance, CANCELLED)
            return
        self._cancel_losers([left])
        self.ask(instance)

    def time_out(self, side: Side, error: EngineTimeout) -> None:
        """``side`` was silent for too long: as if it had failed, and it is told to stop."""
        side.fail(error)
        side.context.cancel()

    # Called for its attempts; ``side`` is one of them, or the request itself for the first one.

    def start_with(self, side: Side) -> bool:
        """``side`` has something to answer: True if the answer is its own from now on."""
        with self.lock:
            if not side.first_live:
                return False
            if self.state is _STARTED:  # by itself, on another thread
                return True
            self.state = TRANSITIONS[self.state][_START]
            lost = None if self._later is None else self._detach_all(side)
        # PERF: a healthy instance that was asked first needs no word of it before the end.
        if lost is not None or not side.instance.healthy or self.pool.spec.hedge_after is not None:
            self._tell_start(side, lost)
        if self.timer is not None:
            self.timer.started(side)
        held, side.held = side.held, None
        if held:
            for chunk, tokens in held:
                if self.transcript is not None:
                    self.transcript.add(chunk, tokens)
                self.deliver(chunk, tokens)
        return True

    def end_with(self, side: Side, error: BaseException | None = None) -> bool:
        """``side`` ended, with ``error`` or well: True if the client is to be told so."""
        with self.lock:
            if not side.first_live:
                return False
            state = self.state
            self.state = TRANSITIONS[state][_FINISH]
            later = self._later
            lost = None if later is None or state is _STARTED else self._detach_all(side)
            side.first_live = False
        pool = self.pool
        instance = side.instance
        if state is not _STARTED and (
            lost is not None or not instance.healthy or pool.spec.hedge_after is not None
        ):
            self._tell_start(side, lost)
        if later is None and self.timer is None:
            pool.reroutable.discard(self)
        else:
            self.close()
        pool.give_back(instance, SUCCESS if error is None else self.judge(error))
        return True

    def fail_early(self, side: Side, error: BaseException) -> None:
        """``side`` failed before it started: ask another instance, if that may help."""
        with self.lock:
            if not side.first_live:
                return
            started = self.state is _STARTED  # just now, on another thread
            alone = False
            if not started:
                later = self._made_later()
                self._detach(side)
                alone = not self._running()
                if alone:
                    self.state = TRANSITIONS[self.state][Event.LOSE]
                    later.last_error = error
        if started:
            if self.end_with(side, error):
                self.end_badly(side, error)
            return
        failure = self.judge(error)
        pool = self.pool
        if self.tries is not None:
            note_end(self.tries, side.instance.id, pool.clock.monotonic(), failure.kind)
        pool.give_back(side.instance, failure)
        if alone and not pool.retry(self, side.instance, failure):
            self.give_up(pool.last_word(error, failure))

    def end_badly(self, side: Side, error: BaseException) -> None:
        """``side``, whose answer began, ended with ``error``: another may go on, or that is it."""
        transcript = self.transcript
        if transcript is not None:
            self.takeover = takeover = self.pool.takeover_of(self, transcript)
            if takeover.begin(side.instance, error):
                return
        self.deliver_error(error)

    def _tell_start(self, side: Side, lost: list[Side] | None) -> None:
        started = self.began if side is self else side.began
        self.pool.committed(self, side.instance, started, hedge=side is not self and side.hedged)
        if lost:
            self._cancel_losers(lost)

    def judge(self, error: BaseException) -> FailureClass:
        """What ``error`` means; nothing once the client left or its time is over.

        An engine that minds the client's deadline itself may tell of it as its own timeout.
        """
        deadline = self.context.deadline
        late = deadline is not None and self.pool.clock.monotonic() >= deadline
        return CANCELLED if late or self.state is State.ABORTED else classify(error)

    def _made_later(self) -> LaterAttempts:
        """What it needs beside its first attempt, made when it first does. Under the lock."""
        later = self._later
        if later is None:
            later = self._later = LaterAttempts(self.instance)
            self.tries = [Try(self.instance.id, self.began)]
        return later

    def _running(self) -> list[Side]:
        """The live attempts. Under the lock."""
        running: list[Side] = []
        if self.first_live and self.instance is not _NO_MEMBER:
            running.append(self)
        if self._later is not None:
            running += self._later.running
        return running

    def _only_at(self, instance: Instance) -> Side | None:
        """The one attempt, if it is at ``instance`` and has not started. Under the lock."""
        running = self._running() if self.state is _ASKED else []
        return running[0] if len(running) == 1 and running[0].instance is instance else None

    def _detach(self, side: Side) -> None:
        """Hear ``side`` no more. Under the lock; its instance is then to be given back."""
        side.first_live = False
        if self._later is not None and isinstance(side, Attempt):
            self._later.running.remove(side)
        if self.timer is not None:
            self.timer.due.pop(side, None)

    def _detach_all(self, winner: Side | None = None) -> list[Side]:
        """Retire every attempt but ``winner``; those. Under the lock."""
        detached = [each for each in self._running() if each is not winner]
        for each in detached:
            self._detach(each)
        if self.tries is not None:
            self._note_tries(detached, winner)
        self.first_live = winner is self
        return detached

    def _note_tries(self, detached: list[Side], winner: Side | None) -> None:
        tries, now = self.tries or (), self.pool.clock.monotonic()
        for each in detached:
            note_end(tries, each.instance.id, now)
        for one in tries:
            if winner is not None and one.instance == winner.instance.id:
                one.answered = now

    def _cancel_losers(self, sides: list[Side]) -> None:
        """Give the instances of retired attempts back, and tell their engines to stop."""
        for each in sides:
            self.pool.give_back(each.instance, CANCELLED)
            each.context.cancel()

    def close(self) -> None:
        """It is over: leave the queue, let the timer go, and what points back here."""
        timer, self.timer = self.timer, None
        if timer is not None:
            timer.close()
        self._later = None
        if self.pool is not _NO_POOL:
            self.pool.leave(self)


Side: TypeAlias = PoolRequest | Attempt
