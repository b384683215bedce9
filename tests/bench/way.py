"""The way of one request through the code: ``make bench ARGS=way``.

The service runs in this process, with a mock upstream in another; one warm request of each case
goes through it while every Python call on the event loop's thread is written down. Printed are the
product's functions in the order in which they are entered first, file by file, and the counts: all
Python calls (libraries included), calls of the product's own functions, files, and how often the
next call is in another file. The counts are the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Event
from types import CodeType, FrameType
from typing import Final

from actors.eventloop import shared_loop
from actors.service import Service
from actors.settings.serve import ServeSettings
from actors.supervision import CancellationToken
from tests.bench.peers.clients import Clients, Request
from tests.bench.peers.load import Load, drive
from tests.bench.peers.process import Mock
from tests.bench.peers.script import Script, post
from tests.support.chat import wait_for_model
from tests.support.cpu import Cores

__all__ = ["CASES", "Case", "Way", "main", "shortest", "travelled"]

DEADLINE: Final = 30.0
TRIES: Final = 5
"""Ways of one request, the shortest of which counts."""

WARM: Final = 20
"""Requests before the one that is written down: caches are filled, connections open."""

PACED: Final = (8, 40)
"""Tokens of the two paced answers whose difference is the cost of one event."""

_ROOT: Final = Path(__file__).parents[2]
_PRODUCT: Final = tuple(f"{_ROOT / folder}/" for folder in ("actors", "discovery", "http"))


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of request."""

    name: str
    request: Request


@dataclass(frozen=True, slots=True)
class Way:
    """Every Python call that one request made on the event loop's thread, in order.

    A step is a file, as a path from the repository's root, and a function; an empty file is a
    library's.
    """

    steps: Sequence[tuple[str, str]]

    @property
    def calls(self) -> int:
        """Python calls, those of libraries included."""
        return len(self.steps)

    @property
    def own(self) -> list[tuple[str, str]]:
        """The steps in the product's own files."""
        return [step for step in self.steps if step[0]]

    @property
    def rooms(self) -> list[str]:
        """The product's files, in the order in which they are entered first."""
        return [*dict.fromkeys(file for file, _ in self.own)]

    @property
    def changes(self) -> int:
        """How often a call is in another of the product's files than the one before it."""
        files = [file for file, _ in self.own]
        return sum(one != other for one, other in pairwise(files))

    def functions(self, file: str) -> list[str]:
        """The functions of one file that were called, in order of their first call."""
        return [*dict.fromkeys(function for each, function in self.own if each == file)]


def _relayed(script: Script, *, stream: bool) -> Request:
    return Request(post(script, stream=stream), script.tokens, stream, script.pace > 0)


def _echo(tokens: int, *, stream: bool) -> Request:
    text = " ".join(["@word"] * tokens)
    return Request(post(Script(tokens), model="echo", stream=stream, text=text), tokens, stream)


CASES: Final = (
    Case("relay, unary", _relayed(Script(16), stream=False)),
    Case("relay, stream of 4 tokens", _relayed(Script(4, pace=20), stream=True)),
    Case("relay, 64 tokens at once", _relayed(Script(64), stream=True)),
    Case("in process, unary", _echo(16, stream=False)),
    Case("in process, 64 tokens at once", _echo(64, stream=True)),
)


@contextmanager
def travelled() -> Generator[Callable[[Request], Way]]:
    """A service that relays to a mock upstream; gives a function that follows one request."""
    with Mock(Cores.of_this_machine().load) as mock, tempfile.TemporaryDirectory() as folder:
        entry = {"name": "mock", "model_type": "chat", "endpoint": {"url": f"{mock.url}/v1"}}
        Path(folder, "mock.json").write_text(json.dumps(entry))
        token = CancellationToken()
        settings = ServeSettings(
            console="off",
            host="127.0.0.1",
            port=0,
            engine=("echo=echo",),
            discovery_dir=folder,
            drain_timeout=1.0,
        )
        service = Service.start(settings, token)
        try:
            address = service.http.address
            wait_for_model(f"http://{address[0]}:{address[1]}", "mock", DEADLINE)
            clients = Clients((address[0], address[1]))
            try:
                yield lambda request: _follow(clients, request)
            finally:
                clients.close_all()
        finally:
            token.cancel()
            service.stop()


def _follow(clients: Clients, request: Request) -> Way:
    """Send ``request`` some times, and write down the way of the last one."""
    # A paced one takes its time, and another way of it mostly went before.
    _answered(clients, Load(request, 1, 2 if request.stamped else WARM, DEADLINE))
    steps: list[tuple[str, str]] = []
    names: dict[CodeType, tuple[str, str]] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            code = frame.f_code
            step = names.get(code)
            if step is None:
                step = names[code] = _step(code)
            steps.append(step)

    _on_loop(lambda: sys.setprofile(note))
    try:
        _answered(clients, Load(request, 1, 1, DEADLINE))
    finally:
        _on_loop(lambda: sys.setprofile(None))
    return Way(steps)


def _answered(clients: Clients, load: Load) -> None:
    seen = drive(clients.address, load, clients)
    if seen.done != load.requests:
        raise RuntimeError(f"a request was not answered as it should be: {dict(seen.failed)}")


def _on_loop(action: Callable[[], object]) -> None:
    """Have ``action`` done on the event loop's thread; returns when it is."""
    done = Event()
    loop = shared_loop()
    loop.call(action)
    loop.call(done.set)
    if not done.wait(DEADLINE):
        raise RuntimeError("the event loop does not answer")


def _step(code: CodeType) -> tuple[str, str]:
    if not code.co_filename.startswith(_PRODUCT):
        return "", code.co_qualname
    return str(Path(code.co_filename).relative_to(_ROOT)), code.co_qualname


def shortest(follow: Callable[[Request], Way], request: Request) -> Way:
    """The shortest of some ways of ``request``: a timer or a probe may have come in between."""
    return min((follow(request) for _ in range(TRIES)), key=lambda way: way.calls)


def calls_an_event(follow: Callable[[Request], Way]) -> float:
    """Python calls that one paced event costs: the difference of a long and a short answer."""
    short, long = (shortest(follow, _relayed(Script(n, pace=5), stream=True)).calls for n in PACED)
    return (long - short) / (PACED[1] - PACED[0])


def main(arguments: Sequence[str]) -> int:
    """Follow a request of each case and print its way; answer the exit code."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS='way …'",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rooms", default="stream of 4", help="print the rooms of these cases")
    options = parser.parse_args(arguments)
    with travelled() as follow:
        ways = {case.name: shortest(follow, case.request) for case in CASES}
        event = calls_an_event(follow)
    for name, way in ways.items():
        if options.rooms in name:
            print(f"\n{name}")
            for number, file in enumerate(way.rooms, 1):
                print(f"{number:>3} {file}: {', '.join(way.functions(file))}")
    print(f"\n{'':<32}{'calls':>8}{'own':>8}{'files':>8}{'changes of file':>18}")
    for name, way in ways.items():
        counts = f"{way.calls:>8}{len(way.own):>8}{len(way.rooms):>8}{way.changes:>18}"
        print(f"{name:<32}{counts}")
    print(f"{'relay, one paced event':<32}{event:>8.1f}")
    return 0
