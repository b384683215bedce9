"""``make bench ARGS=discovery``: how fast discovery is, and what an entry costs.

From a real etcd: how long a stop takes while etcd is frozen; the time from the start of a put to
the moment the instance is in the registry; the time to apply a snapshot; memory for each entry; the
lag under steady changes. The last four are measured to the registry's door (a registry that only
counts) and with the real one. Compare figures of one run; a busy machine shows in all of them.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import threading
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final

from actors.engines.contract import Context, Engine, EngineRequest, Kind, Sink
from actors.engines.upstream import UpstreamEngine
from actors.registry import RegistryActor
from actors.registry.messages import PutInstance
from actors.supervision import CancellationToken, Child, Supervisor
from discovery.actor import discovery_child
from discovery.codec import encode
from discovery.entry import Entry
from discovery.etcd.access import Endpoints
from discovery.etcd.client import EtcdClient
from discovery.etcd.watch import EtcdSource
from discovery.source import Event
from discovery.status import StatusBoard
from tests.support.etcd import EtcdServer
from tests.support.waiting import eventually

PATIENCE: Final = 60.0
"""Seconds that any part may take before the run fails."""
NUMBERS: Final = itertools.count()


class NoEngine:
    """As small as an engine can be: what is measured is discovery."""

    __slots__ = ()

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Never called here."""


class Door:
    """A registry that counts, in front of the real one if there is one; tells of one instance."""

    def __init__(self, ask: Callable[..., Any] | None) -> None:
        self._ask = ask
        self.count = 0
        self.last = 0.0
        self.awaited = ""
        self.came = threading.Event()

    def ask(self, message: Any, *, timeout: float) -> Any:
        """Note the moment at which the registry has it."""
        answer = None if self._ask is None else self._ask(message, timeout=timeout)
        self.count += 1
        self.last = time.perf_counter()
        if isinstance(message, PutInstance) and message.model == self.awaited:
            self.came.set()
        return answer


@dataclass
class Subject:
    """A front-end's discovery over one etcd, and what it is asked about."""

    door: Door
    board: StatusBoard


def started(
    stack: ExitStack, etcd: EtcdServer, *, real: bool, make: Callable[[Entry], Engine]
) -> Subject:
    """A tree with the discovery actor; ``stack`` ends it."""
    board = StatusBoard("etcd")
    tree = Supervisor.start(Child("registry", RegistryActor.start, hand_over=True))
    stack.callback(tree.stop, timeout=10)
    door = Door(tree.address("registry").ask if real else None)
    source = EtcdSource(Endpoints.parse(etcd.endpoint), b"/models/")
    tree.start_child(discovery_child(source, door, make, board=board, close_grace=0.0))
    return Subject(door, board)


def pair(number: int, *, models: int) -> tuple[bytes, bytes]:
    """Key and value of instance ``number``, never the same value twice; they share ``models``."""
    name, url = f"org/model-{number % models}", f"http://w{next(NUMBERS)}.example:8000/v1"
    return encode(Entry(Kind.CHAT, name, url, instance=f"worker-{number}"))


def puts(client: EtcdClient, subject: Subject, count: int) -> list[float]:
    """Milliseconds from the start of each of ``count`` puts until the registry has it."""
    times: list[float] = []
    for _ in range(count):
        name = f"probe-{next(NUMBERS)}"  # a new one: an equal entry put again is no change
        subject.door.came.clear()
        subject.door.awaited = name
        key, value = encode(Entry(Kind.CHAT, name, "http://10.0.0.7:8000/v1"))
        begin = time.perf_counter()
        client.put(key, value)
        assert subject.door.came.wait(PATIENCE)
        times.append((subject.door.last - begin) * 1000)
    return times


def snapshot(etcd: EtcdServer, entries: int, *, real: bool) -> tuple[float, float]:
    """Seconds until all entries were applied, and KB of Python's memory for each."""
    gc.collect()
    with ExitStack() as stack:
        begin = time.perf_counter()
        subject = started(stack, etcd, real=real, make=lambda _: NoEngine())
        eventually(lambda: subject.board.status.synced, PATIENCE, "synced")
        took = subject.door.last - begin
        assert subject.board.status.entries >= entries
    gc.collect()
    tracemalloc.start()
    with ExitStack() as stack:
        before = tracemalloc.get_traced_memory()[0]
        subject = started(stack, etcd, real=real, make=lambda _: NoEngine())
        eventually(lambda: subject.board.status.synced, PATIENCE * 5, "synced")
        gc.collect()
        held = (tracemalloc.get_traced_memory()[0] - before) / subject.board.status.entries / 1024
    tracemalloc.stop()
    return took, held


def steady(
    etcd: EtcdServer, rate: int, seconds: float, models: int, *, real: bool
) -> tuple[float, list[float]]:
    """Changes a second that were really put, and the lag in ms, looked at every 100 ms."""
    lags: list[float] = []
    with ExitStack() as stack:
        subject = started(stack, etcd, real=real, make=lambda _: NoEngine())
        eventually(lambda: subject.board.status.synced, PATIENCE, "synced")
        client = EtcdClient(Endpoints.parse(etcd.endpoint).turn(0))
        stack.callback(client.close)
        done, begin, before = 0, time.perf_counter(), subject.door.count
        pause = threading.Event()
        while (elapsed := time.perf_counter() - begin) < seconds:
            due = int(elapsed * rate)
            if due > done:
                _put_many(client, range(done, due), models)
                done = due
            if elapsed > 0.1 * (len(lags) + 1):
                lags.append(subject.board.status.lag * 1000)
            pause.wait(0.002)
        put = done / (time.perf_counter() - begin)
        eventually(lambda: subject.door.count - before >= done, PATIENCE, "all were applied")
    return put, lags


def _put_many(client: EtcdClient, numbers: range, models: int) -> None:
    """As one transaction each: Python's own client could not put 1,000 a second one by one."""
    for start in range(numbers.start, numbers.stop, 50):
        chunk = range(start, min(start + 50, numbers.stop))
        client.put_together(dict(pair(n % 1000, models=models) for n in chunk))


def stops(rounds: int) -> list[float]:
    """Milliseconds from a source's cancellation to its end, etcd frozen under it."""
    with EtcdServer() as etcd:
        return sorted(_stop(etcd) for _ in range(rounds))


def _stop(etcd: EtcdServer) -> float:
    source = EtcdSource(Endpoints.parse(etcd.endpoint), b"/models/")
    token, synced = CancellationToken(), threading.Event()

    def hear(_event: Event) -> None:
        synced.set()

    run = threading.Thread(target=source.run, args=(hear, token), daemon=True)
    run.start()
    assert synced.wait(PATIENCE)
    etcd.freeze()
    begin = time.perf_counter()
    token.cancel()
    run.join(PATIENCE)
    took = (time.perf_counter() - begin) * 1000
    etcd.thaw()
    return took


def upstream_kilobytes(count: int = 2000) -> float:
    """KB of one relaying engine, which stands beside each entry in the real service."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [UpstreamEngine(f"http://10.0.0.7:{8000 + n}/v1") for n in range(count)]
    held = (tracemalloc.get_traced_memory()[0] - before) / len(kept) / 1024
    tracemalloc.stop()
    return held


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='discovery …'",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--puts", type=int, default=500, help="puts that are timed")
    parser.add_argument("--entries", type=int, default=10_000, help="entries of the snapshot")
    parser.add_argument("--models", type=int, default=100, help="models that share the entries")
    parser.add_argument("--rate", type=int, default=1000, help="changes a second")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long at that rate")
    options = parser.parse_args(arguments)
    engine = upstream_kilobytes()
    print(f"an UpstreamEngine holds {engine:.2f} KB", flush=True)
    frozen = stops(10)
    print(f"stop, etcd frozen      median {statistics.median(frozen):.1f} ms, max {frozen[-1]:.1f}")
    with EtcdServer() as etcd, ExitStack() as stack:
        client = EtcdClient(Endpoints.parse(etcd.endpoint).turn(0))
        stack.callback(client.close)
        for real, name in ((False, "to the door"), (True, "real registry")):
            with ExitStack() as inner:
                subject = started(inner, etcd, real=real, make=lambda _: NoEngine())
                eventually(lambda: subject.board.status.synced, PATIENCE, "synced")  # noqa: B023  # called at once
                puts(client, subject, 20)
                times = sorted(puts(client, subject, options.puts))
            p50, p99 = statistics.median(times), times[int(len(times) * 0.99)]
            print(f"put -> {name:<14} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms", flush=True)
        for begin in range(0, options.entries, 100):
            numbers = range(begin, min(begin + 100, options.entries))
            client.put_together(dict(pair(n, models=options.models) for n in numbers))
        for real, name in ((False, "to the door"), (True, "real registry")):
            took, held = snapshot(etcd, options.entries, real=real)
            print(
                f"snapshot {options.entries}, {name:<14} {took:6.2f} s   {held:5.2f} KB an entry, "
                f"{held + engine:5.2f} KB with its engine",
                flush=True,
            )
        for real, name in ((False, "to the door"), (True, "real registry")):
            put, lags = steady(etcd, options.rate, options.seconds, options.models, real=real)
            third = max(1, len(lags) // 3)
            first, last = statistics.median(lags[:third]), statistics.median(lags[-third:])
            print(
                f"{put:5.0f} changes/s, {name:<14} lag median: first third {first:6.1f} ms, "
                f"last third {last:6.1f} ms, max {max(lags):6.1f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
