"""An engine's own threads: bounded, daemonic, started on demand, gone when idle.

Invariants, each tested under its name:

1. At most ``max_running`` jobs run and ``max_waiting`` wait; one more is refused with
   ``EngineBusy``, at once.
2. Each admitted job is either run or refused with a reason (``refuse``), exactly one of the two.
3. A waiting job whose token is cancelled never runs, and is refused on the cancelling thread.
4. An executor that is dropped without :meth:`BoundedExecutor.close` keeps no thread for longer
   than ``idle_seconds`` after its last job.

Not ``concurrent.futures.ThreadPoolExecutor``: its queue is unbounded, its threads hold up the
interpreter's exit until the last job ends, and a job that was cancelled is found only when it runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from actors.engines.errors import EngineBusy, EngineUnavailable
from actors.supervision.cancellation import CancellationToken, Registration
from actors.supervision.errors import Cancelled

__all__ = ["BoundedExecutor"]

_log = logging.getLogger("actors.engines.executor")

# Seconds that a thread without work lives on: longer than the gaps of a busy minute, short enough
# that a forgotten engine costs nothing.
IDLE_SECONDS: Final = 10.0
# Seconds that a refused client is asked to wait: slots free up at the pace of whole answers.
RETRY_AFTER: Final = 1


class _State(Enum):
    NEW = auto()
    WAITING = auto()
    TAKEN = auto()
    """By a thread, by a cancellation, or refused: the code that set it ends the job."""


class _Job:
    """One admitted piece of work. ``state`` is guarded by its executor's lock."""

    __slots__ = ("refuse", "registration", "run", "state")

    def __init__(self, run: Callable[[], None], refuse: Callable[[BaseException], None]) -> None:
        self.run = run
        self.refuse = refuse
        self.state = _State.NEW
        self.registration: Registration | None = None


class BoundedExecutor:
    """Runs jobs on at most ``max_running`` threads; ``max_waiting`` more jobs wait their turn."""

    def __init__(
        self,
        name: str,
        *,
        max_running: int,
        max_waiting: int,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        if max_running < 1 or max_waiting < 0:
            raise ValueError(
                f"max_running is {max_running}, max_waiting {max_waiting}: "
                "give at least 1 and at least 0"
            )
        self._name = name
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._idle_seconds = idle_seconds
        self._changed: Final = threading.Condition()
        self._waiting: OrderedDict[_Job, None] = OrderedDict()
        self._threads: set[threading.Thread] = set()
        self._busy = 0
        self._started = 0
        self._closed = False

    def submit(
        self,
        run: Callable[[], None],
        refuse: Callable[[BaseException], None],
        token: CancellationToken,
    ) -> None:
        """Have ``run()`` called on a thread of this executor, as soon as one is free.

        ``refuse(error)`` is called instead if the job will never run: with ``Cancelled`` when
        ``token`` is cancelled before its turn, with ``EngineUnavailable`` when the executor is
        closed. Neither may raise. Raises ``EngineBusy`` when full, ``EngineUnavailable`` when
        closed; then neither is called.
        """
        job = _Job(run, refuse)
        job.registration = token.on_cancel(lambda: self._withdraw(job))
        try:
            self._admit(job)
        except BaseException:
            job.registration.unregister()
            raise

    def close(self, timeout: float = 5.0) -> bool:
        """Refuse new and waiting jobs, wait up to ``timeout`` seconds for the running ones.

        True if every thread ended, the calling one apart. Idempotent. A running job is not
        interrupted from here: cancel its token for that.
        """
        with self._changed:
            self._closed = True
            left = [*self._waiting]
            self._waiting.clear()
            for job in left:
                job.state = _State.TAKEN
            threads = self._threads - {threading.current_thread()}
            self._changed.notify_all()
        for job in left:
            self._refuse(job, EngineUnavailable("the engine was closed"))
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    @property
    def running(self) -> int:
        """How many jobs are running."""
        return self._busy

    @property
    def threads(self) -> int:
        """How many threads are alive."""
        return len(self._threads)

    def _admit(self, job: _Job) -> None:
        with self._changed:
            if job.state is not _State.NEW:
                return  # cancelled meanwhile, and refused
            if self._closed:
                job.state = _State.TAKEN
                raise EngineUnavailable("the engine was closed")
            if self._busy + len(self._waiting) >= self._max_running + self._max_waiting:
                job.state = _State.TAKEN
                raise EngineBusy("the engine is busy; try again soon", retry_after=RETRY_AFTER)
            job.state = _State.WAITING
            self._waiting[job] = None
            if not self._enough_threads() and not self._add_thread():
                del self._waiting[job]
                job.state = _State.TAKEN
                raise EngineBusy("the engine is busy; try again soon", retry_after=RETRY_AFTER)
            self._changed.notify()

    def _enough_threads(self) -> bool:
        idle = len(self._threads) - self._busy
        return idle >= len(self._waiting) or len(self._threads) >= self._max_running

    def _add_thread(self) -> bool:
        """Start one more thread; False if there is none at all to run the job."""
        self._started += 1
        thread = threading.Thread(
            target=self._work, name=f"{self._name}-{self._started}", daemon=True
        )
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:  # the operating system has no thread left for us
            self._threads.discard(thread)
            _log.warning("no thread could be started", extra={"executor": self._name})
        return bool(self._threads)

    def _withdraw(self, job: _Job) -> None:
        with self._changed:
            if job.state is _State.TAKEN:
                return
            job.state = _State.TAKEN
            self._waiting.pop(job, None)
        self._refuse(job, Cancelled("the request was cancelled before its turn"))

    def _work(self) -> None:
        while (job := self._take()) is not None:
            try:
                if job.registration is not None:
                    job.registration.unregister()
                job.run()
            except BaseException:  # noqa: BLE001  # a job must not raise; the thread goes on
                _log.exception("a job raised", extra={"executor": self._name})
            # Else this frame would keep the job alive until the next one.
            del job
            with self._changed:
                self._busy -= 1

    def _take(self) -> _Job | None:
        """The next job; ``None`` when this thread is to end: closed, or idle for long."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed, self._idle_seconds)
            if not self._waiting:
                self._threads.discard(threading.current_thread())
                return None
            job, _ = self._waiting.popitem(last=False)
            job.state = _State.TAKEN
            self._busy += 1
            return job

    def _refuse(self, job: _Job, error: BaseException) -> None:
        if job.registration is not None:
            job.registration.unregister()
        job.refuse(error)
