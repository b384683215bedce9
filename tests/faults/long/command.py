"""``python -m tests.faults --long NAME``: one long row, or ``all``; 1 if a promise broke."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.faults.long import (
    attacks,
    balance,
    chaos,
    etcd_away,
    failing,
    frozen,
    hedging,
    killed_workers,
    rolling,
    soak,
)
from tests.faults.long.report import Report, Settings, Unavailable
from tests.faults.long.sabotage import SABOTAGES

__all__ = ["SHOWS", "main"]

SHOWS: Final[dict[str, tuple[Callable[[Report, Settings], None], float, str]]] = {
    "killed_workers": (killed_workers.run, 60.0, "real workers are killed under streams"),
    "failing": (failing.run, 64.0, "upstreams fail in six ways; then all of them"),
    "frozen": (frozen.run, 30.0, "one worker is stopped under load"),
    "etcd_away": (etcd_away.run, 60.0, "etcd is frozen, then killed, under load"),
    "balance": (balance.run, 30.0, "eight instances, by turns, weight and load"),
    "soak": (soak.run, 0.0, "a million requests: memory, threads and descriptors stay flat"),
    "hedging": (hedging.run, 20.0, "a second instance is asked beside a slow one"),
    "rolling": (rolling.run, 0.0, "two front-ends behind nginx, then HAProxy: twenty restarts"),
    "chaos": (chaos.run, 600.0, "a real etcd breaks at random under twenty writers, from a seed"),
    "attacks": (attacks.run, 0.0, "each attack: memory, /live, an innocent model, the exit"),
}
"""Name: what runs it, its seconds by default, what it shows."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments name; answer the exit code."""
    shows = "\n".join(f"  {name:<16} {text}" for name, (_, _, text) in SHOWS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults --long",
        description=f"{__doc__}\n\nrows:\n{shows}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=[*SHOWS, "all"], help="the row", metavar="NAME")
    parser.add_argument("--seconds", type=float, help="how long the load, or the fault, lasts")
    parser.add_argument("--seed", type=int, default=1, help="for what is left to chance")
    parser.add_argument("--requests", type=int, default=1_000_000, help="of the soak")
    parser.add_argument("--only", default="", help="parts of attacks, rolling: a,c or nginx")
    parser.add_argument(
        "--root",
        type=Path,
        action="append",
        metavar="PATH",
        help="a checkout whose code attacks, rolling run; again for one more, to compare",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="where their table goes")
    parser.add_argument("--longest", type=float, default=18.0, help="chaos: the longest outage")
    parser.add_argument(
        "--sabotage", default="", choices=["", *SABOTAGES], help="chaos must notice it"
    )
    options = parser.parse_args(arguments)
    names = [*SHOWS] if options.name == "all" else [options.name]
    codes = [_run(name, options) for name in names]
    return max(codes)


def _run(name: str, options: argparse.Namespace) -> int:
    show, default, text = SHOWS[name]
    seconds = default if options.seconds is None else options.seconds
    report = Report()
    report.say(f"{name}: {text}; {seconds:g} s, seed {options.seed}")
    settings = Settings(
        seconds,
        options.seed,
        options.requests,
        tuple(options.root or [Path()]),
        options.only,
        options.report,
        options.longest,
        options.sabotage,
    )
    try:
        show(report, settings)
    except Unavailable as lacking:
        report.say(f"{name}: not run: {lacking}")
        return 2
    except AssertionError as error:  # a wait that was too long is a promise that broke
        report.promise(f"the show ends: {error}", held=False)
    report.say(f"{name}: {report.kept} promises kept, {len(report.broken)} broken")
    return report.exit_code
