"""What the console's recorders cost: ``make bench ARGS=recorder``.

Three figures. What they add to a request (its books, from its guard to its log line), unwatched and
watched: the ways take turns in rounds, in this process, and the median of the differences counts.
How much memory everything that is kept takes when it is full. And how much CPU an idle service
uses while nobody and while one console reads the stream.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import threading
import time
import tracemalloc
import urllib.request
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from actors.engines.contract import Context, EngineRequest, Kind
from http_service.admin.event_log import SIZE as EVENTS
from http_service.admin.event_log import Events, Happened
from http_service.admin.feed import BATCH
from http_service.admin.request_log import Requests, row_of
from http_service.admin.series import MODELS, PER_MODEL, TOTALS, Series
from http_service.streaming.exchange import InflightRequests
from http_service.streaming.stream_exchange import StreamExchange
from http_service.telemetry.access_log import set_access_log_writer
from http_service.telemetry.metrics import Metrics
from tests.support.callboard import Callboard
from tests.support.stats import middle

__all__ = ["added", "kept_bytes", "main", "watched_share"]

TOKENS: Final = 4
"""Events of the response whose books are timed."""

REQUESTS: Final = 6_000
"""Requests a round and way."""

EACH_LOOK: Final = 600
"""Requests between two looks of the feed: 3,000 a second."""


def added(rounds: int) -> dict[str, float]:
    """Microseconds that a request's books take: plain, and what each way adds to that."""
    set_access_log_writer(lambda _record: None)
    inflight, metrics = InflightRequests(), Metrics()
    requests = Requests(inflight, metrics)
    ways = ("plain", "unwatched", "watched")
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        for way in ways if number % 2 else reversed(ways):
            requests.begin()
            requests.watch(on=way == "watched")
            if way == "plain":
                requests.end()
            spent = _timed(inflight, metrics, requests if way == "watched" else None)
            if number:  # the first round warms up
                times[way].append(spent)
    set_access_log_writer(None)
    plain = times.pop("plain")
    differences = {
        way: middle([one - other for one, other in zip(each, plain, strict=True)])
        for way, each in times.items()
    }
    return {"plain": middle(plain), **differences}


def _timed(inflight: InflightRequests, metrics: Metrics, watched: Requests | None) -> float:
    """Microseconds of one request's books; ``watched``: with its line in the stream."""
    begun = time.thread_time()
    for number in range(REQUESTS):
        guard = metrics.guard("m", "chat_completions", "stream")
        if next(metrics.watched):
            guard.arrivals = array("f")
        asked = EngineRequest(Kind.CHAT, "m", stream=True, parsed=None, raw=b"")
        exchange = StreamExchange(asked, Context("r"), guard, inflight, "/v1/x", 60.0)
        exchange.prepare(include_usage=False)
        for _ in range(TOKENS):
            guard.record_tokens(1, metrics.clock())
        exchange.close_books(200)
        if watched is not None and number % EACH_LOOK == 0:
            watched.take()
            newest, _ = watched.ring.after(None, BATCH)
            msgspec.json.encode([row_of(each, 0.0) for each in newest])
    return (time.thread_time() - begun) / REQUESTS * 1e6


def kept_bytes() -> dict[str, int]:
    """Bytes of each thing that is kept, full."""
    rng = random.Random(1)
    found: dict[str, int] = {}
    kept: list[object] = []
    for name, fill in (("series", _series), ("requests", _requests), ("events", _events)):
        tracemalloc.start()
        kept.append(fill(rng))
        found[name] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    return found


def _series(rng: random.Random) -> Series:
    series = Series()
    totals = {name: rng.random() for name in TOTALS}
    for second in range(1_300):
        values: dict[str, float] = {name: rng.random() for name in PER_MODEL}
        models = {f"m{number}": values for number in range(MODELS)}
        series.add(float(second), totals, models)
    return series


def _requests(rng: random.Random) -> Requests:
    requests = Requests(InflightRequests(), Metrics())
    for _ in range(4):
        for _ in range(1_000):
            times = [rng.random() for _ in range(5)]
            arrivals = array("f", [rng.random()] * 200)
            name = f"{rng.getrandbits(128):032x}"
            requests.ring.inbox.append((
                name, 200, *times[:4], "model", "chat", "chat_completions", "stream", None,
                rng.randrange(9999), times[4], "instance", None, arrivals, 12,
            ))  # fmt: skip
        requests.take()
    return requests


def _events(rng: random.Random) -> Events:
    events = Events()
    for number in range(EVENTS + 500):
        path, text = f"serving/child-{number}", f"ended: crash ({rng.random()})"
        events.put(Happened("info", "tree", path, text))
        events.ring.take()
    return events


def watched_share(seconds: float) -> dict[str, float]:
    """Percent of a core that an idle service uses, unwatched and with one reader of the stream."""
    where = ("serve", "--host", "127.0.0.1", "--port", "0", "--console", "127.0.0.1:0")
    with Callboard(*where, "--engine", "echo=echo") as front:
        url = front.wait_for("console on ").split("console on ")[1].strip()
        front.wait_for("listening on ")
        pid = front.process.pid
        unwatched = _share(pid, seconds)
        reader = threading.Thread(target=_read, args=(f"{url}/admin/v1/stream",), daemon=True)
        reader.start()
        return {"unwatched": unwatched, "watched": _share(pid, seconds)}


def _read(url: str) -> None:
    try:
        with urllib.request.urlopen(url) as answer:
            for _ in answer:
                pass
    except OSError:
        pass  # the service has ended


def _share(pid: int, seconds: float) -> float:
    pause = threading.Event()
    pause.wait(12.0)  # until the slow start of its instances is over
    before = _cpu(pid)
    pause.wait(seconds)
    return (_cpu(pid) - before) / seconds * 100


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main(arguments: Sequence[str]) -> int:
    """Measure and print; answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='recorder …'",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=31, help="rounds of the three ways")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long CPU is looked at")
    options = parser.parse_args(arguments)
    for way, spent in added(options.rounds).items():
        print(f"{'books' if way == 'plain' else f'recorder, {way}':<28} {spent:>8.2f} µs a request")
    kept = kept_bytes()
    for name, size in itertools.chain(kept.items(), [("all", sum(kept.values()))]):
        print(f"{f'kept, {name}':<28} {size / 1024 / 1024:>8.2f} MiB")
    for way, share in watched_share(options.seconds).items():
        print(f"{f'idle, {way}':<28} {share:>8.2f} % of a core")
    return 0
