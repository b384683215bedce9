"""A pool under load in simulated time: arrivals, service times, and what the clients saw."""

from __future__ import annotations

import random
from functools import partial

from actors.engines import Context, EngineRequest
from actors.engines.contract import Sink
from actors.engines.pool import InstanceSpec, ModelSpec, PolicyName, Pool
from actors.testing import FakeClock
from tests.engines.asking import chat
from tests.engines.pool.fakes import chunk
from tests.engines.recording import RecordingSink

__all__ = ["Server", "latencies", "percentile", "simulate"]


class Server:
    """Serves one request at a time, each in about ``seconds``; the others wait inside of it."""

    def __init__(self, clock: FakeClock, seconds: float, rng: random.Random) -> None:
        self.asked = 0
        self._clock = clock
        self._seconds = seconds
        self._rng = rng
        self._free_at = clock.monotonic()

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        del request, context
        self.asked += 1
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now) + self._rng.expovariate(1 / self._seconds)
        self._clock.call_later(self._free_at - now, partial(self._end, sink))

    def _end(self, sink: Sink) -> None:
        sink.push(chunk())
        sink.finish()


class TimedSink(RecordingSink):
    """A client that notes how long its answer took."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self._began = clock.monotonic()
        self.took: float | None = None

    def finish(self) -> None:
        self.took = self._clock.monotonic() - self._began
        super().finish()


def latencies(
    policy: PolicyName, seconds: list[float], *, requests: int = 2000, load: float = 0.6
) -> list[float]:
    """What each of ``requests`` took at servers of these speeds, at ``load`` of their sum."""
    rng = random.Random(11)
    clock = FakeClock()
    pool = Pool("m", spec=ModelSpec(policy=policy), clock=clock, random_fn=rng.random)
    for number, each in enumerate(seconds):
        pool.put(str(number), Server(clock, each, rng), InstanceSpec(endpoint=str(number)))
    rate = load * sum(1 / each for each in seconds)
    sinks = [simulate(pool, clock, rng.expovariate(rate)) for _ in range(requests)]
    clock.advance(1000 * max(seconds))
    return sorted(sink.took for sink in sinks if sink.took is not None)


def simulate(pool: Pool, clock: FakeClock, gap: float) -> TimedSink:
    """One request, ``gap`` seconds after the last one."""
    clock.advance(gap)
    sink = TimedSink(clock)
    pool.start(chat(), sink, Context("r"))
    return sink


def percentile(ordered: list[float], percent: float) -> float:
    """The value that ``percent`` of them do not exceed."""
    return ordered[min(int(len(ordered) * percent / 100), len(ordered) - 1)]
