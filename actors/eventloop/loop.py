"""The loop: one thread that waits for every socket and calls its handler.

Rules of this file, each tested under its name:

1. *One at a time*: handlers, timers and calls run on the loop's thread, one after the other.
2. *A failure stays where it happens*: a handler that raises loses its own watch and gets
   :meth:`Handler.failed`; a timer, timeout or call that raises is logged. The loop goes on.
3. *The loop outlives its thread*: watches, timers, timeouts and calls are the loop's, not those of
   the thread inside :meth:`EventLoop.run`. The next call of ``run`` takes them over, even from a
   thread that hangs in a handler; that one leaves as soon as its handler returns.
4. *One wake-up*: any number of calls from other threads cost one system call until the loop wakes.

An event of a descriptor that was closed and opened again within one batch is dropped: it belongs
to the old one.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from actors.eventloop.poller import READ, FdHandle, Handler, LoopStopped, Poller, Waker, best_poller
from actors.eventloop.timers import TimerHandle, Timers

__all__ = ["EventLoop", "Timed", "TimeoutQueue", "shared_loop"]

_log: Final = logging.getLogger("actors.eventloop")

TICK: Final = 60.0
"""Seconds that a loop without timers sleeps at most; everything wakes it."""

SWEEP: Final = 0.05
"""Seconds between two sweeps, and so the most by which a timeout comes late."""

TAKE_OVER: Final = 1.0
"""Seconds that a new runner gives the last one to leave, before it counts as hung."""


class Timed(Protocol):
    """What must be done in time. Equal to itself only."""

    due: float
    """When it is late. Any later time may be written at any moment, and puts it off; after an
    earlier one :meth:`TimeoutQueue.start` must be called again."""

    def timed_out(self) -> None:
        """It is late, and no longer timed; it may be started again. Must not block."""
        ...


class TimeoutQueue:
    """A set that is swept: each is late once, never before its ``due``, soon after (``SWEEP``)."""

    def __init__(self) -> None:
        self.timed: Final[set[Timed]] = set()
        """What is timed; ``discard`` ends that."""
        self.sweep_at = math.inf
        """When to :meth:`sweep`: until then nothing is late."""
        self._not_before = -math.inf

    def start(self, timed: Timed) -> None:
        """Time ``timed``, by its ``due``; again after an earlier one was written."""
        self.timed.add(timed)
        if timed.due < self.sweep_at:
            self.sweep_at = max(timed.due, self._not_before)

    def sweep(self, now: float) -> list[Timed]:
        """What is late now. All of it is still timed, and the next sweep comes soon: what follows
        an error or a hung thread is not lost."""
        timed = [*self.timed]
        late = [each for each in timed if each.due <= now]
        self.sweep_at = self._not_before = now + SWEEP
        if not late:
            soonest = min([each.due for each in timed], default=math.inf)
            self.sweep_at = max(soonest, self._not_before)
        return late


class EventLoop:
    """Waits for sockets, timers and calls, on the thread that is inside :meth:`run`.

    :meth:`call` may be used from any thread; if no thread runs the loop then, it starts a daemon
    thread of its own (``autostart``). Everything else belongs to the loop's thread.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        poller: Callable[[], Poller] = best_poller,
        *,
        autostart: bool = True,
    ) -> None:
        self.clock: Final = clock
        self.now = clock()
        """The time at the begin of this round: good enough for deadlines of seconds, and free."""
        self.busy_since: float | None = None
        """When this round began, by :attr:`clock`; ``None`` while the loop waits. Any thread."""
        self._make_poller = poller
        self._autostart = autostart
        self._poller: Poller | None = None
        self._waker = Waker()
        self._watches: dict[int, FdHandle] = {}
        self._timers = Timers()
        self.pending: Final[deque[Callable[[], object]]] = deque()
        """What is called at the end of this round. PERF: on the loop's own thread an append is as
        good as :meth:`call`."""
        self._timeouts = TimeoutQueue()
        self.timeouts: Final = self._timeouts.timed
        """What is timed; ``discard`` ends that. The loop's thread."""
        self.start_timeout: Final = self._timeouts.start
        """See :meth:`TimeoutQueue.start`. PERF: a method would be one call more a request."""
        self._sleeping = False
        self._closed = False
        self._batch = 0
        self._running = False
        self.thread: int | None = None
        """The thread that runs the loop, as ``threading.get_ident`` names it."""
        self._runner = 0
        self._claim = threading.Lock()
        self._turn = threading.Lock()
        self._crash_listeners: dict[object, Callable[[BaseException], object]] = {}

    # From any thread.

    def call(self, callback: Callable[[], object]) -> None:
        """Have ``callback()`` run soon on the loop's thread, in the order of the calls.

        After :meth:`close` it never runs.
        """
        self.pending.append(callback)
        # NOTE: append, then check: the loop marks itself asleep, then checks for calls. Wake last:
        # a loop that woke and sleeps again must not be marked awake.
        if self._sleeping:
            self._sleeping = False
            self._waker.wake()
        elif not self._running and self._autostart and not self._closed:
            self.ensure_running()

    def ensure_running(self) -> None:
        """Have a daemon thread of the loop's own run it, unless some thread does."""
        with self._claim:
            if self._running:
                return
            self._running, mine = True, self._runner + 1
            self._runner = mine
        run = partial(self._run_or_report, mine)
        try:
            threading.Thread(target=run, name="event-loop", daemon=True).start()
        except RuntimeError:  # no thread to be had: the next call tries again
            self._end_run(mine)
            raise

    def on_crash(self, listener: Callable[[BaseException], object]) -> Callable[[], None]:
        """Call ``listener(error)`` on the loop's own thread when that dies of ``error``.

        Call what is returned to unregister it; idempotent.
        """
        key = object()
        self._crash_listeners[key] = listener
        return lambda: self._crash_listeners.pop(key, None) and None

    @property
    def on_loop(self) -> bool:
        """Whether the calling thread is the one that runs the loop."""
        return self.thread == threading.get_ident()

    @property
    def running(self) -> bool:
        """Whether some thread runs the loop."""
        return self._running

    def stop(self) -> None:
        """Have :meth:`run` return soon; what is watched and waits stays for the next run."""
        with self._claim:
            self._runner += 1
            self._running = False
        self._waker.wake()

    # On the loop's thread.

    def watch(self, fd: int, handler: Handler, interest: int) -> FdHandle:
        """Call ``handler`` for ``interest`` (``READ | WRITE``, or 0) on ``fd``.

        Raises ``OSError`` if it is not open, ``FileExistsError`` if it is watched already.
        """
        if fd in self._watches:
            raise FileExistsError(f"file descriptor {fd} is watched already")
        watch = FdHandle(self, fd, handler, interest)
        watch.batch = self._batch
        if self._poller is not None:
            self._poller.add(fd, interest)
        self._watches[fd] = watch
        return watch

    def call_later(self, seconds: float, callback: Callable[[], object]) -> TimerHandle:
        """Call ``callback()`` once, ``seconds`` from now, unless the handle is cancelled."""
        return self._timers.add(self.clock() + seconds, callback)

    def change(self, watch: FdHandle) -> None:
        """Pass the interest of ``watch`` to the poller; called by the handle itself."""
        if self._watches.get(watch.fd) is watch and self._poller is not None:
            self._poller.change(watch.fd, watch.interest)

    def forget(self, watch: FdHandle) -> None:
        """Drop ``watch``; called by the handle itself."""
        if self._watches.get(watch.fd) is watch:
            del self._watches[watch.fd]
            if self._poller is not None:
                self._poller.remove(watch.fd)

    # Running it.

    def run(self) -> None:
        """Run the loop on this thread until :meth:`stop`, or until another thread runs it.

        Raises what broke the loop itself; a later run goes on where it ended.
        """
        with self._claim:
            self._running, mine = True, self._runner + 1
            self._runner = mine
        self._run(mine)

    def step(self, timeout: float) -> None:
        """Without :meth:`run`: wait ``timeout`` seconds at most, then handle all that is ready."""
        self.thread = threading.get_ident()
        poller = self._poller
        if poller is None:
            poller = self._poller = self._make_poller()
            self._watch_all(poller)
        self._round(poller, timeout)

    def close(self) -> None:
        """End for good: every watch fails with :class:`LoopStopped`. Not while it runs."""
        self._closed = True
        self.stop()
        watches, self._watches = [*self._watches.values()], {}
        for watch in watches:
            _report_failure(watch, LoopStopped("the event loop was closed"))
        poller, self._poller = self._poller, None
        if poller is not None:
            poller.close()
        self._waker.close()

    def _run(self, mine: int) -> None:
        """Run until another run begins, or the loop is stopped: that may be before this begins."""
        self._waker.wake()
        turn = self._take_turn()
        try:
            self._run_with(self._make_poller(), mine)
        finally:
            self._end_run(mine)
            turn.release()

    def _run_with(self, poller: Poller, mine: int) -> None:
        own = threading.get_ident()
        with self._claim:
            if self._runner == mine:
                self._poller, self.thread = poller, own
        try:
            if self._poller is poller:
                self._watch_all(poller)
            while self._runner == mine:
                self._round(poller, TICK)
        finally:
            if self.thread == own:
                self.thread = self.busy_since = None
            if self._poller is poller:
                self._poller = None
            poller.close()

    def _end_run(self, mine: int) -> None:
        with self._claim:
            if self._runner == mine:  # else it was stopped, or taken over
                self._running = self._sleeping = False

    def _take_turn(self) -> threading.Lock:
        """Wait until the last runner has left; or leave its lock to it, if it hangs."""
        while True:
            turn = self._turn
            if turn.acquire(timeout=TAKE_OVER):
                if turn is self._turn:
                    return turn
                turn.release()  # by one that hung, and was taken over from: not the turn any more
            with self._claim:
                if turn is self._turn:
                    _log.error("the event loop hangs in a handler; another thread takes over")
                    self._turn = turn = threading.Lock()
                    turn.acquire()
                    return turn

    def _round(self, poller: Poller, longest: float) -> None:
        # PERF: a few calls fewer for each event: what is done for each stands here.
        wake = min(self._timers.soonest, self._timeouts.sweep_at)
        longest = min(longest, max(wake - self.clock(), 0.0))
        pending = self.pending
        self.busy_since = None
        self._sleeping = True
        events = poller.poll(0.0 if pending else longest)
        self._sleeping = False
        now = self.now = self.busy_since = self.clock()
        self._batch += 1
        # NOTE: another poller: another thread took over while a handler hung here. Leave it all.
        for fd, happened in events:
            if self._poller is not poller:
                return
            watch = self._watches.get(fd)
            if watch is None or watch.batch == self._batch:
                self._skip(fd)
                continue
            try:
                watch.handler.ready(happened)
            except Exception as error:  # noqa: BLE001  # passed to the handler: rule 2
                self.forget(watch)
                _report_failure(watch, error)
        if now >= wake and self._poller is poller:
            self._call_due(poller, now)
        for _ in range(len(pending)):  # what these add waits for the next round
            if self._poller is not poller:
                return
            try:
                callback = pending.popleft()
            except IndexError:  # taken by another thread, which has just taken over
                return
            try:
                callback()
            except Exception:  # noqa: BLE001  # rule 2
                _log.exception("a call on the event loop failed")

    def _skip(self, fd: int) -> None:
        """An event without a handler: the waker's, or of a closed descriptor."""
        if fd == self._waker.fd:
            self._waker.reset()

    def _call_due(self, poller: Poller, now: float) -> None:
        """Call due timers and expired timeouts; what they add waits for the next round."""
        timers, timeouts = self._timers, self._timeouts
        for _ in range(len(timers)):
            callback = timers.pop_due(now)
            if callback is None:
                break
            _guarded(callback)
            if self._poller is not poller:
                return
        timers.next_at()
        for timed in timeouts.sweep(now) if now >= timeouts.sweep_at else ():
            if timed.due <= now and timed in timeouts.timed:  # else an earlier one has handled it
                timeouts.timed.discard(timed)
                _guarded(timed.timed_out)
                if self._poller is not poller:
                    return

    def _watch_all(self, poller: Poller) -> None:
        poller.add(self._waker.fd, READ)
        for watch in [*self._watches.values()]:
            try:
                poller.add(watch.fd, watch.interest)
            except OSError as error:
                del self._watches[watch.fd]
                _report_failure(watch, error)

    def _run_or_report(self, mine: int) -> None:
        try:
            self._run(mine)
        except BaseException as error:
            listeners = [*self._crash_listeners.values()]
            if not listeners:
                raise  # to threading's own hook
            for listener in listeners:
                _guarded(partial(listener, error))


def _report_failure(watch: FdHandle, error: BaseException) -> None:
    if not isinstance(error, LoopStopped):
        _log.error("a handler failed", exc_info=error, extra={"handler": repr(watch.handler)})
    _guarded(lambda: watch.handler.failed(error))


def _guarded(callback: Callable[[], object]) -> None:
    try:
        callback()
    except Exception:  # noqa: BLE001  # rule 2
        _log.exception("a call on the event loop failed")


_shared_lock: Final = threading.Lock()
_shared: list[EventLoop] = []


def shared_loop() -> EventLoop:
    """The loop of this process: code that names no other loop shares its one thread. Any thread."""
    with _shared_lock:
        if not _shared:
            _shared.append(EventLoop())
        return _shared[0]
