"""The page: what was measured, on what, how, with which command; Markdown, made by pure code."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from tests.bench.peers.cases import CASES, Case
from tests.bench.peers.gateways import OURS, Gateway
from tests.bench.peers.rounds import Run, scaled
from tests.support.stats import middle, quantile

__all__ = ["CHART", "Machine", "page", "ranking"]

CHART: Final = "peers.svg"
"""The chart's file, beside the page."""

REFERENCE: Final = "vllm-router"
"""What ratios are to: the leanest of the rivals. Without it, the last gateway of the run."""

_HEAD: Final = """\
# Callboard beside other gateways

CPU time that a gateway spends on relaying, in front of one and the same mock upstream. Lower is
better. Made by `{command}`; do not edit.

![CPU per request, per stream and per event, a bar a gateway]({chart})
"""

_METHOD: Final = """\
## How

- All gateways run at once, pinned to one core; the load and the mock upstream share another. They \
take turns in short slices, each case and gateway once a round, in random order; the clients stay \
connected. Rounds: {rounds}.
- A ratio is taken within a round, so a machine that changes its speed from round to round changes \
no ratio. The median stands in bold; in brackets, the first and third quartile of the rounds.
- CPU is the user and system time of the gateway and its children, by the kernel's nanosecond \
clocks, divided by the good answers (or by the server-sent events, `[DONE]` included). Logs are \
off or at warnings; metrics and health checks stay on, as each gateway has them by default.
- The clients keep their connections, and wait for an answer before they ask again (a closed \
loop). An answer counts as good if its status is 200, its framing is whole, every token is there \
and a stream ends with `[DONE]`; everything else is a failure.
- UNARY and BURST64: p50 and p99 are of the whole answer with 16 clients waiting, so they follow \
the slowest of gateway, load and upstream. PACED64: from the upstream's write of a token to its \
arrival at the client.
- The floor in C is `tests/bench/peers/floor.c`, a byte relay that parses nothing: what the \
kernel's `recv` and `send` cost here. The floor in Python is `tests/bench/peers/floor.py`: typed \
validation, an own upstream request, deadline, metrics and access record in one file, without \
registry, pool, failover or drain. Both proxies forward plainly and know nothing of models.
- The cases in process are answered by Callboard's echo engine; no other gateway has one.
- Figures of different runs, or machines, must not be compared; those of one table may.

## Again

```text
{command}
```

It installs the rivals from the package registry into `~/.cache/callboard-bench` (another folder: \
`CALLBOARD_BENCH_CACHE`), and needs a C compiler for the floor. This run took {minutes:.1f} minutes.
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """What it was measured on. ``load`` is the number of runnable tasks before the run."""

    cpu: str
    cores: int
    memory_gib: float
    system: str
    python: str
    load: float
    when: str

    @classmethod
    def here(cls) -> Self:
        """This machine, now."""
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return cls(
            cpu=_cpu_model(Path("/proc/cpuinfo").read_text()),
            cores=os.cpu_count() or 1,
            memory_gib=pages / 1024**3,
            system=f"{platform.system()} {platform.release().split('-')[0]}",
            python=python_words(platform.python_version(), sys.base_prefix),
            load=os.getloadavg()[0],
            when=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        )

    @property
    def words(self) -> str:
        """In one sentence."""
        return (
            f"{self.cpu}, {self.cores} cores, {self.memory_gib:.0f} GiB, {self.system}, "
            f"{self.python}; {self.when}; load average before the run {self.load:.2f}."
        )


def python_words(version: str, prefix: str) -> str:
    """The interpreter: a distribution's own is built with profiles, a compiled one rarely is.

    That makes a fifth of the CPU of everything that is written in Python.
    """
    return f"Python {version} ({'of the system' if prefix == '/usr' else 'not of the system'})"


def page(
    run: Run,
    gateways: Sequence[Gateway],
    machine: Machine,
    *,
    command: str,
    rounds: int,
    scale: float,
) -> str:
    """The whole page."""
    parts = [_HEAD.format(command=command, chart=CHART), f"{machine.words}\n"]
    parts += [_table(run, gateways, case, scale) for case in CASES]
    parts += [_memory(run, gateways), _harness(run)]
    if run.absent:
        absent = "; ".join(f"{name}: {reason}" for name, reason in run.absent.items())
        parts.append(f"Not, or not wholly, measured: {absent}.\n")
    parts.append(_METHOD.format(command=command, rounds=rounds, minutes=run.seconds / 60))
    return "\n".join(parts)


def ranking(run: Run, case: Case) -> list[tuple[str, float]]:
    """The gateways with their median CPU, cheapest first; those that never answered left out."""
    names = dict.fromkeys(each.gateway for each in run.figures)
    costs = [(name, [each.cpu for each in run.of(name, case.name) if each.done]) for name in names]
    return sorted(((name, middle(cpu)) for name, cpu in costs if cpu), key=lambda each: each[1])


def _table(run: Run, gateways: Sequence[Gateway], case: Case, scale: float) -> str:
    known = {each.name: each for each in gateways}
    ranked = ranking(run, case)
    reference = _reference([name for name, _ in ranked], gateways)
    units = f"CPU in µs per {case.unit}; p50 and p99 in ms ({case.latency})"
    columns = (
        *("gateway", "written in", "CPU", f"by {reference}"),
        *("p50", "p99", "answers/s", "failed"),
    )
    lines = [
        f"## {case.name}: {case.title}\n",
        f"{scaled(case, scale)} requests a slice. {units}.\n",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    for name, _ in ranked:
        cells = run.of(name, case.name)
        row = (
            _title(known[name]),
            known[name].language,
            _middle_half([each.cpu for each in cells if each.done], _number),
            _middle_half(run.ratios(name, case.name, reference), _ratio),
            _number(middle([each.latency.p50 for each in cells])),
            _number(middle([each.latency.p99 for each in cells])),
            f"{middle([each.rate for each in cells]):,.0f}",
            _failures([each.failed for each in cells]),
        )
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


def _reference(ranked: Sequence[str], gateways: Sequence[Gateway]) -> str:
    """To which gateway the ratios of a table are."""
    if REFERENCE in ranked:
        return REFERENCE
    answered = [each.name for each in gateways if each.name in ranked]
    return answered[-1] if answered else OURS


def _middle_half(values: Sequence[float], words: Callable[[float], str]) -> str:
    """The median, and the quartiles in brackets."""
    if not values:
        return "-"
    low, high = quantile(values, 0.25), quantile(values, 0.75)
    return f"**{words(middle(values))}** [{words(low)} to {words(high)}]"


def _memory(run: Run, gateways: Sequence[Gateway]) -> str:
    lines = ["## Memory\n", "| gateway | MiB resident, warm and after the run |", "|---|---|"]
    for each in gateways:
        sizes = " / ".join(f"{size:.0f}" for size in run.memory[each.name])
        lines.append(f"| {_title(each)} | {sizes or '-'} |")
    return "\n".join(lines) + "\n"


def _harness(run: Run) -> str:
    """What the benchmark itself costs: it bounds the rates, and is part of every latency."""
    costs: list[str] = []
    for case in CASES:
        cells = [each for each in run.figures if each.case == case.name and each.done]
        mock = middle([each.mock_cpu for each in cells])
        load = middle([each.load_cpu for each in cells])
        costs.append(f"{case.name} {_number(load)} + {_number(mock)} µs per {case.unit}")
    return "Load + mock upstream themselves, on their core: " + "; ".join(costs) + ".\n"


def _title(gateway: Gateway) -> str:
    return gateway.name if gateway.version == "-" else f"{gateway.name} {gateway.version}"


def _failures(rounds: Sequence[dict[str, int]]) -> str:
    total: dict[str, int] = {}
    for each in rounds:
        for reason, count in each.items():
            total[reason] = total.get(reason, 0) + count
    return "; ".join(f"{count}: {reason}" for reason, count in total.items()) or "0"


def _number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _ratio(value: float) -> str:
    return f"{value:.2f}"


def _cpu_model(cpuinfo: str) -> str:
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    found = (value.strip() for name, _, value in lines if name.strip() == "model name")
    return next(found, platform.machine())
