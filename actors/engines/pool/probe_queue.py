"""Bounds the probes of all pools together: how many are under way, and how many begin a second.

Without it ten thousand dead entries would be a thousand connections a second. Who asks for an
address that is being asked shares its answer. Addresses of which no good is known have a queue of
their own: however many there are, they never delay the probe of one that was well.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from actors.engines.errors import EngineTimeout
from actors.engines.pool.clock import Clock, Pending

__all__ = ["BURST", "MOST", "PER_SECOND", "TIMEOUT", "Asker", "ProbeQueue", "ProbeQueues"]

TIMEOUT: Final = 2.0
"""Seconds for a probe; it costs a healthy server milliseconds."""

MOST: Final = 32
"""Probes of one queue that are under way: descriptors and sockets that it may take."""

PER_SECOND: Final = 50.0
"""Probes of one queue that begin in a second: some 2 % of a core."""

BURST: Final = 10
"""Probes that may begin at once."""


class Asker(Protocol):
    """Who wants to know how an address is."""

    @property
    def wanted(self) -> bool:
        """Whether it still wants to know."""
        ...

    def start(self, done: Callable[[BaseException | None], object]) -> None:
        """Probe; see ``probed.SupportsProbe``. May raise anything: that is the answer."""
        ...

    def told(self, error: BaseException | None) -> None:
        """The answer."""
        ...

    def dropped(self) -> None:
        """It was not wanted any more when its turn came."""
        ...


class ProbeQueue:
    """Probes addresses in the order in which they were asked for. Any thread."""

    __slots__ = (
        "_begun",
        "_clock",
        "_known",
        "_lock",
        "_serving",
        "_timer",
        "_tokens",
        "_under_way",
        "_waiting",
    )

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = allocate_lock()
        self._waiting: deque[str] = deque()
        self._known: dict[str, list[Asker]] = {}
        self._under_way = 0
        self._tokens = float(BURST)
        self._begun = clock.monotonic()
        self._timer = False
        self._serving = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def under_way(self) -> int:
        """Probes that began and have not ended."""
        return self._under_way

    def ask(self, address: str, asker: Asker) -> None:
        """Tell ``asker`` how ``address`` is, once its turn comes."""
        with self._lock:
            askers = self._known.get(address)
            if askers is None:
                self._known[address] = [asker]
                self._waiting.append(address)
            else:
                askers.append(asker)
        self._serve()

    def _serve(self) -> None:
        """Begin what may begin. A probe that ends within its begin leaves the rest to the loop."""
        with self._lock:
            if self._serving:
                return
            self._serving = True
        while (turn := self._next()) is not None:
            self._begin(*turn)

    def _next(self) -> tuple[str, Asker] | None:
        """The address whose turn it is; ``None``, and no more serving, where none may begin."""
        dropped: list[Asker] = []
        turn: tuple[str, Asker] | None = None
        with self._lock:
            while turn is None and self._waiting and self._may_begin():
                address = self._waiting[0]
                askers = self._known[address]
                asker = next((each for each in askers if each.wanted), None)
                self._waiting.popleft()
                if asker is None:
                    dropped += self._known.pop(address)
                else:
                    self._tokens -= 1.0
                    self._under_way += 1
                    turn = address, asker
            if turn is None:
                self._serving = False
                self._plan()
        for each in dropped:
            each.dropped()
        return turn

    def _may_begin(self) -> bool:
        now = self._clock.monotonic()
        self._tokens = min(self._tokens + (now - self._begun) * PER_SECOND, float(BURST))
        self._begun = now
        return self._under_way < MOST and self._tokens >= 1.0

    def _plan(self) -> None:
        """Come back when the next one may begin, unless an end brings us back. Under the lock."""
        if self._waiting and self._under_way < MOST and not self._timer:
            self._timer = True
            self._clock.call_later(1.0 / PER_SECOND, self._due)

    def _due(self) -> None:
        self._timer = False
        self._serve()

    def _begin(self, address: str, asker: Asker) -> None:
        probe = _Probe(partial(self._ended, address))
        late = EngineTimeout("the probe was not answered")
        probe.timer = self._clock.call_later(TIMEOUT, partial(probe.done, late))
        try:
            asker.start(probe.done)
        except Exception as error:  # noqa: BLE001  # foreign code: a probe that fails, whatever it is
            probe.done(error)

    def _ended(self, address: str, error: BaseException | None) -> None:
        with self._lock:
            self._under_way -= 1
            askers = self._known.pop(address)
        for each in askers:
            each.told(error)
        self._serve()


class _Probe:
    """One probe: its first end counts."""

    __slots__ = ("_lock", "_tell", "timer")

    def __init__(self, tell: Callable[[BaseException | None], object]) -> None:
        self._tell = tell
        self._lock = allocate_lock()  # taken by its end
        self.timer: Pending | None = None

    def done(self, error: BaseException | None) -> None:
        if self._lock.acquire(blocking=False):
            if self.timer is not None:
                self.timer.cancel()
            self._tell(error)


class ProbeQueues:
    """The two queues that all pools of a service share."""

    def __init__(self, clock: Clock) -> None:
        self.closed = False
        """Whether the service has ended: nobody is probed any more. Set once."""
        self.proven: Final = ProbeQueue(clock)
        """For instances that have answered before."""
        self.doubtful: Final = ProbeQueue(clock)
        """For those that never have, or have failed several times in a row since."""
