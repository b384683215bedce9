"""Thousands of streams in one service process: is any cut, how late are the tokens, at what cost?

``make bench ARGS='held_streams'`` holds 4,000 streams of 10 tokens a second for 30 seconds, made by
an engine in the process. ``--kill 0.10`` ends that share of the clients at random moments, half of
them by a reset: the others must not notice, and nothing of the killed may remain. The exit code is
1 if a stream was cut or short, if a gauge did not return to zero or a connection stayed.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import resource
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.peers.clients import Clients, Connection, Request
from tests.bench.peers.load import Load, drive
from tests.bench.peers.script import Script, post
from tests.bench.served import Served, Spent
from tests.bench.subject import MODEL
from tests.bench.threads import waited_seconds
from tests.support.stats import Quantiles
from tests.support.waiting import eventually

__all__ = ["Held", "main"]

RAMP: Final = 1000.0
"""Streams opened a second."""
PATIENCE: Final = 30.0
"""Seconds beyond its own length that a stream is waited for."""
SETTLE: Final = 10.0
"""Seconds for gauges and connections to return to where they were."""
_SLICE: Final = 0.05


@dataclass(slots=True)
class Held:
    """What came of it; ``failed`` counts the streams that should have been whole, by reason."""

    opened: int = 0
    whole: int = 0
    killed: int = 0
    failed: Counter[str] = field(default_factory=Counter[str])
    added: list[float] = field(default_factory=list[float])
    """Seconds from the making of a token to its arrival, from when all streams were open."""
    first: list[float] = field(default_factory=list[float])
    """Seconds from a request to its first token, the ramp included."""
    cpu: float = 0.0
    """CPU seconds of the service while all were open, by ``seconds``."""
    seconds: float = 0.0
    tokens: int = 0
    memory_mib: float = 0.0
    """What the streams added to the resident memory."""
    client_cpu: float = 0.0
    waited: float = 0.0
    """Seconds, of ``seconds``, that the service's threads waited for a core."""
    client_waited: float = 0.0

    def note(self, connection: Connection) -> None:
        """Judge a stream that is over."""
        reason = connection.request.judge(connection.answer)
        self.added.extend(connection.answer.added)
        if connection.answer.first:
            self.first.append(connection.answer.first - connection.asked)
        if reason:
            self.failed[reason] += 1
        else:
            self.whole += 1


class _Session:
    """The clients of one run, on the caller's thread."""

    def __init__(self, served: Served, options: argparse.Namespace) -> None:
        self._served = served
        self._clients = Clients(served.ours)
        self._count: int = options.streams
        self._seconds: float = options.seconds
        script = Script(int(options.rate * options.seconds), pace=round(1000 / options.rate))
        payload = post(script, model=MODEL, stream=True)
        self._request = Request(payload, script.tokens, stream=True, stamped=True)
        self._random = random.Random(options.seed)
        self._share: float = options.kill
        self.held = Held()

    def run(self) -> Held:
        """Open all, hold them, kill some, read the rest to the end."""
        before = self._served.memory_mib()
        self._open_all()
        self.held.memory_mib = self._served.memory_mib() - before
        kills = self._plan_kills(time.monotonic())
        spent, cpu, begun = Spent(self._served), time.process_time(), time.monotonic()
        waited = waited_seconds(self._served.pid), waited_seconds(os.getpid())
        for connection in self._clients.busy():
            connection.answer.added = []  # the ramp is over: from here on it counts
        # While all are open: until shortly before the first one ends.
        self._hold(begun + max(1.0, self._seconds - self._count / RAMP - 1.0), kills)
        self.held.seconds = time.monotonic() - begun
        self.held.cpu, _ = spent.so_far()
        self.held.client_cpu = (time.process_time() - cpu) / self.held.seconds
        self.held.waited = waited_seconds(self._served.pid) - waited[0]
        self.held.client_waited = waited_seconds(os.getpid()) - waited[1]
        open_now = self._clients.busy()
        self.held.tokens = sum(len(each.answer.added) for each in open_now) + len(self.held.added)
        self._hold(time.monotonic() + self._seconds + PATIENCE, kills)
        for connection in self._clients.busy():
            self.held.failed["not finished in time"] += 1
            self._clients.close(connection)
        self._clients.close_all()
        return self.held

    def _open_all(self) -> None:
        begun = time.monotonic()
        while self.held.opened < self._count:
            allowed = min(self._count, int((time.monotonic() - begun) * RAMP) + 1)
            while self.held.opened < allowed:
                self.held.opened += 1
                try:
                    self._clients.ask(self._request)
                except OSError as error:
                    self.held.failed[f"could not open: {type(error).__name__}"] += 1
            self._poll(0.001)

    def _plan_kills(self, now: float) -> list[tuple[float, Connection]]:
        """Whom to kill and when; the latest first, so that the next one is at the end."""
        alive = self._clients.busy()
        victims = self._random.sample(alive, int(len(alive) * self._share))
        moments = [(now + self._random.uniform(0, self._seconds * 0.8), each) for each in victims]
        return sorted(moments, key=lambda each: each[0], reverse=True)

    def _hold(self, until: float, kills: list[tuple[float, Connection]]) -> None:
        while time.monotonic() < until and self.held.opened > self._over():
            while kills and kills[-1][0] <= time.monotonic():
                _, victim = kills.pop()
                if victim.busy and self._clients.is_open(victim):
                    self.held.killed += 1
                    self._clients.close(victim, reset=self.held.killed % 2 == 0)
            self._poll(_SLICE)

    def _over(self) -> int:
        return self.held.whole + self.held.killed + sum(self.held.failed.values())

    def _poll(self, timeout: float) -> None:
        for connection in self._clients.poll(timeout):
            self.held.note(connection)
            self._clients.close(connection)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print what came of it; answer the exit code."""
    options = _parse(arguments)
    _raise_file_limit()
    with Served() as served:
        warm = Request(post(Script(16), model=MODEL, stream=True), 16, stream=True)
        drive(served.ours, Load(warm, 8, 200))
        files = _open_files(served)
        gc.collect()
        gc.disable()
        held = _Session(served, options).run()
        gc.enable()
        left = _settle(served, files)
        late = served.engine_late()
    print("\n".join(_lines(held, options, left, late)))
    return 1 if held.failed or any(left) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.held_streams",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--streams", type=int, default=4000, help="how many at once")
    parser.add_argument("--rate", type=float, default=10.0, help="tokens a second in each")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each lasts")
    parser.add_argument("--kill", type=float, default=0.0, help="share of clients to kill, 0 to 1")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of victims")
    return parser.parse_args(arguments)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _open_files(served: Served) -> int:
    return sum(1 for _ in Path(f"/proc/{served.pid}/fd").iterdir())


def _settle(served: Served, files: int) -> tuple[float, int]:
    """Requests still in flight, and descriptors too many, when that no longer changes."""

    def settled() -> bool:
        return not served.inflight() and _open_files(served) <= files

    try:
        eventually(settled, SETTLE)
    except AssertionError:
        return served.inflight(), max(0, _open_files(served) - files)
    return 0.0, 0


def _lines(
    held: Held, options: argparse.Namespace, left: tuple[float, int], late: float
) -> list[str]:
    added, first = Quantiles.of(held.added), Quantiles.of(held.first)
    inflight, files = left
    failed = "; ".join(f"{count}: {reason}" for reason, count in held.failed.items())
    waited, client_waited = held.waited / held.seconds, held.client_waited / held.seconds
    share, cost = held.cpu / held.seconds * 100, held.cpu / max(1, held.tokens) * 1e6
    measured = (
        f"{len(held.added):,} tokens; the engine itself was late by {late * 1e3:.1f} ms at most"
    )
    return [
        f"{held.opened} streams, {options.rate:g} tokens/s each, {options.seconds:g} s",
        f"whole {held.whole}, killed {held.killed}, cut or short {failed or 0}",
        f"left behind: {inflight:g} requests in flight, {files} connections",
        f"added latency of a token: p50 {added.p50:.2f} ms, p99 {added.p99:.2f} ms ({measured})",
        f"first token after: p50 {first.p50:.2f} ms, p99 {first.p99:.2f} ms",
        f"CPU of the service: {share:.0f} % of a core, {cost:.1f} µs a token",
        f"CPU of the clients: {held.client_cpu * 100:.0f} % of another core",
        f"waited for their core: service {waited:.0%}, clients {client_waited:.0%} of the time",
        f"memory: {held.memory_mib * 1024 / max(1, held.opened):.1f} KiB a stream (RSS)",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
