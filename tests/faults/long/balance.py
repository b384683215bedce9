"""Requests over eight instances: even by turns, as their weights say, and away from a slow one."""

from __future__ import annotations

from collections.abc import Sequence

from tests.bench.peers.clients import Request
from tests.bench.peers.load import Load, Outcome, drive
from tests.bench.peers.script import Script, post
from tests.faults.long.report import Report, Settings
from tests.faults.long.stage import Stage, pause
from tests.faults.long.upstreams import Upstreams
from tests.support.stats import Quantiles

__all__ = ["run", "worst_share"]

COUNT = 8
WEIGHTS = (1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0)
WARM = 10.5
"""Seconds of the slow start, in which weights are not yet what they will be."""
MOST = 0.10
"""How far an instance may be from its share."""
FAST, SLOW = 0.005, 0.5
"""Seconds; as an engine that swaps, or waits for its GPU, beside well ones."""
CLIENTS = 16


def run(report: Report, settings: Settings, warm: float = WARM) -> None:
    """``settings.seconds`` sets the requests: 200 a second of it for each policy."""
    count = max(400, int(settings.seconds * 200))
    with Upstreams(COUNT, FAST) as upstreams, Stage() as stage:
        stage.announce(upstreams.urls, "turns", policy="round_robin")
        stage.announce(upstreams.urls, "weights", policy="round_robin", weights=WEIGHTS)
        stage.announce(upstreams.urls, "least", policy="least_loaded")
        report.say(f"wait for {warm:g} s: a slow start is no balance")
        pause(warm)
        for model, weights in (("turns", [1.0] * COUNT), ("weights", WEIGHTS)):
            before = upstreams.seen()
            _drive(report, stage, model, count)
            seen = [after - each for after, each in zip(upstreams.seen(), before, strict=True)]
            report.say(f"{model}: {seen}")
            off = report.figure(f"{model}: farthest from its share", worst_share(seen, weights))
            report.promise(f"{model}: each instance within 10 % of its share", off <= MOST)
        upstreams.be(0, "well", SLOW)
        few = count // 3  # by turns the slow one is what all clients wait for
        turns = Quantiles.of(_drive(report, stage, "turns", few).whole)
        least = Quantiles.of(_drive(report, stage, "least", few).whole)
    report.figure("one slow, round_robin: p99", turns.p99, "ms")
    report.figure("one slow, least_loaded: p99", least.p99, "ms")
    report.figure("one slow, round_robin: p50", turns.p50, "ms")
    report.figure("one slow, least_loaded: p50", least.p50, "ms")
    report.promise("least_loaded's p99 is below half of round_robin's", least.p99 < turns.p99 / 2)


def worst_share(seen: Sequence[int], weights: Sequence[float]) -> float:
    """How far the worst of ``seen`` is from its weight's share, as a part of that share."""
    whole, all_weights = sum(seen), sum(weights)
    if not whole:
        return 1.0
    shares = [whole * weight / all_weights for weight in weights]
    return max(abs(each / share - 1.0) for each, share in zip(seen, shares, strict=True))


def _drive(report: Report, stage: Stage, model: str, count: int) -> Outcome:
    request = Request(post(Script(1), model=model), marks=1)
    outcome = drive(stage.address, Load(request, CLIENTS, count))
    report.promise(
        f"{model}: all {count} requests are answered well {dict(outcome.failed) or ''}",
        outcome.done == count,
    )
    return outcome
