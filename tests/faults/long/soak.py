"""Very many requests through a pool of four: memory, threads and descriptors stay as they were.

Writes ``docs/benchmarks/soak.csv`` and ``soak.svg`` (``--requests`` sets how many).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

from tests.bench.peers.clients import Request
from tests.bench.peers.load import Load, Outcome, drive
from tests.bench.peers.script import Script, post
from tests.faults.long.measures import slope
from tests.faults.long.plot import plot
from tests.faults.long.report import Report, Settings
from tests.faults.long.stage import MODEL, Stage
from tests.faults.long.upstreams import Upstreams

__all__ = ["OUTPUT", "Sample", "run", "soak"]

OUTPUT: Final = Path(__file__).parents[3] / "docs" / "benchmarks"
CLIENTS: Final = 16
EVERY: Final = 1.0
"""Seconds between two samples."""
PER: Final = 100_000
"""The requests that a slope is stated for."""
GROWTH: Final = 512.0
"""KiB of resident memory for each :data:`PER` requests that are noise: 5 bytes a request."""
SPARE: Final = 8
"""Threads, or descriptors, that may come and go: connections that idle, workers that rest."""
TIMEOUT: Final = 4 * 3600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The front-end after so many requests; ``rss`` in KiB."""

    requests: int
    seconds: float
    rss: float
    threads: int
    descriptors: int


def run(report: Report, settings: Settings) -> None:
    """Soak, state the slopes, and write the table and the picture."""
    samples, _ = soak(report, settings.requests)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    header = "requests,seconds,rss_kib,threads,descriptors"
    rows = [
        ",".join(f"{each:g}" if isinstance(each, float) else str(each) for each in astuple(one))
        for one in samples
    ]
    (OUTPUT / "soak.csv").write_text("\n".join([header, *rows]) + "\n")
    points = [(each.requests, each.rss / 1024) for each in samples]
    title = f"Resident memory of the front-end over {samples[-1].requests:,} requests, MiB"
    (OUTPUT / "soak.svg").write_text(plot(points, title=title))
    report.say(f"wrote {len(samples)} samples to docs/benchmarks/soak.csv and soak.svg")


def soak(report: Report, requests: int) -> tuple[list[Sample], Outcome]:
    """``requests`` of them, sampled; the promises are stated to ``report``."""
    with Upstreams(4) as upstreams, Stage() as stage:
        stage.announce(upstreams.urls)
        request = Request(post(Script(16), model=MODEL), marks=16)
        drive(stage.address, Load(request, CLIENTS, max(200, requests // 20)))  # warm
        outcomes: list[Outcome] = []
        load = Load(request, CLIENTS, requests, TIMEOUT)
        thread = threading.Thread(target=lambda: outcomes.append(drive(stage.address, load)))
        first = int(stage.metric("pool_instance_selections"))
        thread.start()
        samples = _sampled(report, stage, thread, first)
    outcome = outcomes[0]
    report.figure("requests a second", outcome.rate)
    report.promise(
        f"all {requests} requests are answered well {dict(outcome.failed) or ''}",
        outcome.done == requests,
    )
    _flat(report, samples)
    return samples, outcome


def _sampled(report: Report, stage: Stage, thread: threading.Thread, first: int) -> list[Sample]:
    samples: list[Sample] = []
    while True:
        done = int(stage.metric("pool_instance_selections")) - first
        samples.append(Sample(done, round(len(samples) * EVERY, 1), *stage.vitals()))
        if len(samples) % 30 == 0:
            report.say(f"{done} requests, {samples[-1].rss / 1024:.1f} MiB")
        thread.join(EVERY)
        if not thread.is_alive():  # its connections are closed: no sample like the others
            return samples


def _flat(report: Report, samples: Sequence[Sample]) -> None:
    later = samples[len(samples) // 5 :]  # what is allocated once is allocated by then
    slopes = slope([(each.requests / PER, each.rss) for each in later])
    report.figure("resident at the end", samples[-1].rss / 1024, "MiB")
    report.figure("slope of the resident memory", slopes, f"KiB per {PER} requests")
    grown = later[-1].rss - later[0].rss
    report.figure("grown after the first fifth", grown, "KiB")
    report.promise("resident memory is flat", min(slopes, grown) <= GROWTH)
    for name in ("threads", "descriptors"):
        counts = [getattr(each, name) for each in later]
        report.say(f"{name}: {min(counts)} to {max(counts)}")
        report.promise(f"{name} are flat", max(counts) - min(counts) <= SPARE)
