"""``make bench-peers``: measure, then write the table and the chart to ``docs/benchmarks``."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.peers import gateways
from tests.bench.peers.cache import Cache, CannotPrepare, cache_folder
from tests.bench.peers.cases import CASES
from tests.bench.peers.chart import Panel, chart
from tests.bench.peers.gateways import FLOOR, OURS, PROXIES, PYTHON_FLOOR, Gateway
from tests.bench.peers.process import Mock
from tests.bench.peers.report import CHART, Machine, page, ranking
from tests.bench.peers.rivals import DEFAULT, RIVALS
from tests.bench.peers.rounds import Run, run
from tests.support.cpu import Cores
from tests.support.etcd import EtcdServer

__all__ = ["main"]

OUTPUT: Final = Path(__file__).parents[3] / "docs" / "benchmarks"

_report = partial(print, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the arguments name; answer the exit code."""
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    machine, cores = Machine.here(), Cores.of_this_machine()
    if cores.subject == cores.load:
        _report("one core only: load and gateway share it, so trust the CPU figures alone")
    # The load runs in this process; what it starts is pinned by itself.
    os.sched_setaffinity(0, {cores.load})
    with ExitStack() as stack:
        mock = stack.enter_context(Mock(cores.load))
        chosen, absent = _gateways(options.gateways, options.against, mock, stack)
        measured = run(
            chosen,
            mock,
            cores,
            rounds=options.rounds,
            scale=options.scale,
            seed=options.seed,
            report=_report,
        )
    measured.absent.update(absent)
    extra = shlex.join(sys.argv[1:])
    command = f'make bench-peers ARGS="{extra}"' if extra else "make bench-peers"
    text = page(
        measured, chosen, machine, command=command, rounds=options.rounds, scale=options.scale
    )
    if options.against is None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "peers.md").write_text(text)
        (options.output / CHART).write_text(_chart(measured))
    print(text)
    ours_failed = any(each.failed for each in measured.figures if each.gateway == OURS)
    return 1 if ours_failed or OURS in measured.absent else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    names = [OURS, FLOOR, PYTHON_FLOOR, *PROXIES, *(each.name for each in RIVALS)]
    parser = argparse.ArgumentParser(prog="make bench-peers ARGS=…", description=__doc__)
    parser.add_argument(
        "gateways",
        nargs="*",
        metavar="GATEWAY",
        help=f"which ones, of {', '.join(repr(name) for name in names)}; default all but LiteLLM",
    )
    parser.add_argument("--rounds", type=int, default=12, help="rounds; default 12, four minutes")
    parser.add_argument("--scale", type=float, default=1.0, help="0.2: a fifth of the requests")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the slices")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="the folder to write to")
    parser.add_argument(
        "--against",
        type=Path,
        metavar="CHECKOUT",
        help="another checkout of Callboard with its .venv: this one is measured against it, and "
        "nothing is written",
    )
    options = parser.parse_args(arguments)
    everyone = [FLOOR, PYTHON_FLOOR, OURS, *PROXIES, *DEFAULT]
    options.gateways = options.gateways or ([OURS] if options.against else everyone)
    for name in options.gateways:
        if name not in names:
            parser.error(f"no gateway {name!r}; there are {', '.join(names)}")
    return options


def _gateways(
    names: Sequence[str], against: Path | None, mock: Mock, stack: ExitStack
) -> tuple[list[Gateway], dict[str, str]]:
    """Every gateway that can be made ready, and why the others can't."""
    cache = Cache(cache_folder(os.environ))
    etcd = stack.enter_context(EtcdServer())
    gateways.announce(etcd, mock.url)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callboard-bench-")))
    found: list[Gateway] = []
    absent: dict[str, str] = {}
    for name in names:
        try:
            found.append(_gateway(name, cache, mock, etcd, folder))
        except CannotPrepare as error:
            _report(str(error))
            absent[name] = "could not be installed here"
    if against is not None:
        found.append(gateways.checkout(against.resolve(), etcd))
    return found, absent


def _gateway(name: str, cache: Cache, mock: Mock, etcd: EtcdServer, folder: Path) -> Gateway:
    if name == FLOOR:
        return gateways.floor(cache, mock.port)
    if name == PYTHON_FLOOR:
        return gateways.python_floor(mock.port)
    if name == OURS:
        return gateways.ours(etcd)
    if name in PROXIES:
        return gateways.proxy(name, mock.url, folder)
    return gateways.rival(cache, name, mock.url)


def _chart(measured: Run) -> str:
    panels = [Panel(case.title, case.unit, ranking(measured, case)) for case in CASES]
    return chart(panels, ours=OURS, floor=FLOOR, caption="CPU that relaying costs, lower is better")


if __name__ == "__main__":
    sys.exit(main())
