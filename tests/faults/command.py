"""The command line of the suite: what to run, in which order, and where to write about it."""

from __future__ import annotations

import argparse
import math
import random
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.faults.campaign import campaign
from tests.faults.catalogue import SCENARIOS, chosen, unknown
from tests.faults.engine import Timing, run_scenario
from tests.faults.judge import Verdict
from tests.faults.long.command import SHOWS as LONG
from tests.faults.long.command import main as long_rows
from tests.faults.mix import mixed
from tests.faults.report.page import page
from tests.faults.report.words import as_json, as_markdown, one_line, summed_up
from tests.faults.schedule import BadSchedule, Run, Schedule, read_schedule
from tests.faults.worlds.remote import NotAllowed, address_of, permitted, remote

__all__ = ["main", "parse", "seconds_of"]

HELD: Final = 0
BROKE: Final = 1
WRONG_USE: Final = 2
INTERRUPTED: Final = 130

DESCRIPTION: Final = """
Inject every failure that Callboard claims to survive, and measure what survives. Real processes,
real sockets, a real etcd. Each scenario runs twice, without its fault and with it; the exit code is
0 if all held, 1 if one broke. Ctrl-C heals every fault, ends every process, and reports what was
done so far.

what is there: --list; one row, a family or a part of a key: --only 14, --only engines, --only etcd
repeat a run:  the seed that it printed (--seed 7), or its schedule (--replay DIR/schedule.json)
minutes each:  --long soak, --long chaos --seed 7, --long all (--long --help names them)
look at it:    --report DIR, then open DIR/index.html
"""

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; wrong ones end the process with a sentence, as argparse does."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", default="", metavar="WHAT", help="rows, families or keys, with commas between")
    add("--quick", action="store_true", help="the short ones that `make test` runs")
    add("--list", action="store_true", help="say what there is, and do nothing")
    add("--seed", type=int, metavar="N", help="draw the moments from this seed; default: any")
    add("--duration", type=seconds_of, metavar="TIME", help="how long each fault stays on")
    add("--no-control", action="store_true", help="leave out the runs without the fault")
    add("--report", type=Path, metavar="DIR", help="write index.html, report.md, report.json there")
    add("--table", type=Path, metavar="FILE", help="write the Markdown table there, too")
    add("--replay", type=Path, metavar="FILE", help="repeat a schedule that a run has written")
    add("--campaign", type=seconds_of, metavar="TIME", help="mix faults at random for so long")
    add("--against", metavar="URL", help="a deployment that is up; only what needs a URL is run")
    add("--model", default="", help="with --against: the model to ask (default: the first listed)")
    add("--rate", type=rate_of, default=20.0, metavar="N", help="with --against: requests a second")
    add("--attack-another-host", action="store_true", help="allow a host that is not this machine")
    add("--long", nargs=argparse.REMAINDER, help="a row of minutes: NAME, all, or --help")
    return parser.parse_args(arguments)


def seconds_of(text: str) -> float:
    """``90``, ``90s``, ``1.5m`` or ``1h`` in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if found is None or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time above 0, as in 30s or 10m")
    return float(found[1]) * _UNITS[found[2]]


def rate_of(text: str) -> float:
    """A number above 0."""
    rate = float(text)
    if not 0 < rate < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate above 0, as in 20")
    return rate


def main(arguments: Sequence[str]) -> int:
    """Run one command line; answer the exit code."""
    options = parse(arguments)
    if options.long is not None:
        return long_rows(options.long)
    try:
        _check(options)
        if options.list:
            return _list(options)
        return _Session(options).run()
    except (BadSchedule, NotAllowed) as error:
        print(f"faults: {error}", file=sys.stderr)
        return WRONG_USE


def _check(options: argparse.Namespace) -> None:
    """Refuse what would be ignored, or found out after minutes. Raises :class:`NotAllowed`."""
    if wrong := unknown(options.only):
        names = ", ".join(repr(word) for word in wrong)
        raise NotAllowed(f"no scenario is named {names}; --list shows what there is")
    if options.replay and (options.only or options.quick or options.campaign):
        raise NotAllowed("--replay repeats the whole file: leave --only, --quick, --campaign out")
    try:
        if options.report:
            options.report.mkdir(parents=True, exist_ok=True)
        if options.table:
            options.table.open("a").close()
    except OSError as error:
        raise NotAllowed(f"can't write to {error.filename}: {error.strerror}") from None


def _list(options: argparse.Namespace) -> int:
    for each in chosen(options.only, black_box=bool(options.against), quick=options.quick):
        marks = ("url" if each.black_box else "   ") + ("  quick" if each.quick else "")
        print(f"{each.row:3} {each.family:12} {each.key:24} {marks:11} {each.title}")
    if not (options.only or options.quick or options.against):
        for name, (_, _, title) in LONG.items():
            print(f"    {'long':12} {name:24} {'--long':11} {title}")
    return HELD


class _Session:
    """One invocation: its verdicts so far, and how to report them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._begun = time.monotonic()
        self._verdicts: list[Verdict] = []
        self._target = options.against or "processes of its own"
        seed = options.seed
        self._seed: int = random.SystemRandom().randrange(1 << 31) if seed is None else seed
        self._stage: Callable[[float], Any] | None = self._remote_stage()

    def run(self) -> int:
        """All of it; the exit code."""
        interrupted = False
        schedule = Schedule(self._seed, ())
        try:
            if self._options.campaign:
                print(f"seed {self._seed}", flush=True)
                self._verdicts, schedule = campaign(
                    self._seed, self._options.campaign, partial(print, flush=True)
                )
            else:
                schedule = self._schedule()
                self._write_schedule(schedule)
                self._follow(schedule)
        except KeyboardInterrupt:
            interrupted = True
        self._report(schedule, interrupted=interrupted)
        if interrupted:
            return INTERRUPTED
        return BROKE if any(each.outcome == "broke" for each in self._verdicts) else HELD

    def _schedule(self) -> Schedule:
        options = self._options
        if options.replay:
            return read_schedule(options.replay)
        wanted = chosen(options.only, black_box=bool(options.against), quick=options.quick)
        if not wanted:
            raise NotAllowed("no scenario is left of these options; --list with them shows none")
        return Schedule(
            self._seed,
            tuple(Run(s.key, Timing.drawn(s, self._seed, options.duration)) for s in wanted),
        )

    def _follow(self, schedule: Schedule) -> None:
        print(f"seed {schedule.seed}, {len(schedule.runs)} scenarios", flush=True)
        for number, run in enumerate(schedule.runs, 1):
            scenario = self._scenario(run)
            progress = partial(_progress, number, len(schedule.runs), scenario.key)
            verdict = run_scenario(
                scenario,
                run.timing,
                control=not self._options.no_control and run.steps is None,
                stage=self._stage,
                heard=progress,
            )
            self._verdicts.append(verdict)
            _clear()
            print(one_line(verdict), flush=True)

    def _scenario(self, run: Run) -> Any:
        if run.steps is not None:
            return mixed(run.scenario, run.steps, run.timing.heal - run.timing.inject)
        for each in SCENARIOS:
            if each.key == run.scenario:
                return replace(each, black_box=True) if self._stage else each
        raise BadSchedule(f"there is no scenario {run.scenario!r} any more")

    def _remote_stage(self) -> Callable[[float], Any] | None:
        options = self._options
        if not options.against:
            return None
        address = address_of(options.against)
        permitted(address[0], flag=options.attack_another_host, confirm=input)
        stage = partial(remote, address=address, model=options.model, rate=options.rate)
        with stage(0.0):  # refuses before anything is injected
            return stage

    def _write_schedule(self, schedule: Schedule) -> None:
        where: Path | None = self._options.report
        if where is not None:
            schedule.write(where / "schedule.json")

    def _report(self, schedule: Schedule, *, interrupted: bool) -> None:
        seconds = time.monotonic() - self._begun
        summary = summed_up(self._verdicts, schedule.seed, seconds, self._target)
        _clear()
        if interrupted:
            print(
                f"\ninterrupted: every fault is healed; {len(self._verdicts)} scenarios were done"
            )
        print(
            f"{summary.held} held, {summary.broke} broke, {summary.skipped} skipped; {summary.line}"
        )
        table: Path | None = self._options.table
        if table is not None:
            table.write_text(as_markdown(self._verdicts, summary))
        where: Path | None = self._options.report
        if where is None:
            return
        self._write_schedule(schedule)
        for name, text in (
            ("index.html", page(self._verdicts, summary)),
            ("report.md", as_markdown(self._verdicts, summary)),
            ("report.json", as_json(self._verdicts, summary)),
        ):
            (where / name).write_text(text)
        print(f"report: {where / 'index.html'}")


def _progress(number: int, count: int, key: str, phase: str) -> None:
    """A bar on a terminal; nothing in a log."""
    if sys.stderr.isatty():
        done = 30 * (number - 1) // count
        bar = "#" * done + "." * (30 - done)
        print(f"\r[{bar}] {number}/{count} {key}: {phase:8}", end="", file=sys.stderr, flush=True)


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
