"""Each attack against a real ``serve``: what others notice of it, and what it costs.

Everything but the gateway runs on another core, where there are two. ``/live`` is to answer within
50 ms at the 99th percentile in each of them.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.faults.long.attack_ground import EXIT_LIMIT, KEY, Ground, peak_mib
from tests.faults.long.attack_upstreams import SILENT, silent_address
from tests.faults.long.report import Report, Settings
from tests.support.cpu import Cores, on_core
from tests.support.stats import quantile
from tests.support.waiting import eventually

__all__ = ["ATTACKS", "Attack", "Row", "run", "table"]

MIB: Final = 1 << 20
GOAL: Final = 0.05
"""Seconds of ``/live`` at the 99th percentile."""
LEAST: Final = 5.0
"""Seconds that are measured at least: 250 times ``/live``."""
MOST: Final = 60.0
"""Seconds of patience of a client that attacks."""


@dataclass(frozen=True, slots=True)
class Attack:
    """``act`` attacks and returns when it is over; ``before`` prepares, unmeasured."""

    key: str
    title: str
    act: Callable[[Ground], None]
    before: Callable[[Ground], None] = lambda _ground: None
    keyed: bool = False
    stuck: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured in one attack; seconds and MiB."""

    attack: Attack
    label: str
    memory: float
    live: float
    live_failed: int
    chat: float
    chat_failed: int
    exit: float
    ejections: float

    @property
    def held(self) -> bool:
        """Whether ``/live`` kept its promise."""
        return self.live <= GOAL and not self.live_failed


def known(ground: Ground, entries: Sequence[dict[str, Any]], patience: float = MOST) -> None:
    """Announce them, and wait until the last one's model is listed."""
    model = entries[-1]["name"]
    ground.announce(model, entries)
    eventually(lambda: model in ground.models(), patience, f"{model} is listed")


def connect(ground: Ground) -> socket.socket:
    """A client's connection."""
    return socket.create_connection(ground.address, MOST)


def request(body: bytes, *more: str, path: str = "/v1/chat/completions") -> bytes:
    """A POST of ``body``, with header lines."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", *more]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def chat(model: str, *more: str, content: str = "hi", stream: str = "false") -> bytes:
    """A chat request."""
    said = f'"messages":[{{"role":"user","content":"{content}"}}],"stream":{stream}'
    return request(f'{{"model":"{model}",{said}}}'.encode(), *more)


def send(ground: Ground, data: bytes) -> str:
    """Send it and wait for the first line of the answer; empty for none."""
    with suppress(OSError), connect(ground) as client:
        with suppress(ConnectionError):  # refused before it was read: the answer says why
            client.sendall(data)
        return client.recv(65536).split(b"\r\n")[0].decode(errors="replace")
    return ""


def at_once(ground: Ground, data: Sequence[bytes], clients: int) -> list[str]:
    """Send each on a connection of its own, so many at a time; the first lines."""
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(partial(send, ground), data))


KEYED: Final = f"Authorization: Bearer {KEY}"


def keyless_bodies(ground: Ground) -> None:
    """60 bodies of 44 MiB, without a key."""
    at_once(ground, [chat("innocent", content="x" * (44 * MIB))] * 60, 60)


def large_bodies(ground: Ground) -> None:
    """20 bodies of 40 MiB, all under way at an upstream together."""
    at_once(ground, [chat("sink", KEYED, content="x" * (40 * MIB))] * 20, 20)


def containers(ground: Ground) -> None:
    """One body of 44 MiB of empty arrays."""
    empty = b",".join([b"[]"] * (44 * MIB // 3 - 100))
    head = b'{"model":"sink","messages":[{"role":"user","content":"hi"}],"x":['
    send(ground, request(head + empty + b"]}", KEYED))


def blank_streams(ground: Ground) -> None:
    """8 streams of an upstream that sends blank lines, for 8 seconds."""
    clients = [connect(ground) for _ in range(8)]
    for client in clients:
        client.sendall(chat("blank", stream="true"))
    threading.Event().wait(8.0)
    for client in clients:
        client.close()


def dead_entries(ground: Ground) -> None:
    """10,000 instances of 1,000 models at addresses that take connections and say nothing."""
    ground.announce(
        "dead",
        (
            ground.entry(
                f"dead-{number // 10}",
                "",
                f"i{number % 10}",
                ground.upstream("silent", silent_address(number)),
            )
            for number in range(SILENT)
        ),
    )
    threading.Event().wait(20.0)


def five_thousand(ground: Ground) -> None:
    """5,000 models, each asked once, so that there are series of all."""
    names = [f"many-{number}" for number in range(5000)]
    known(ground, [ground.entry(name, "well") for name in names])
    at_once(ground, [chat(name, "Connection: close") for name in names], 8)


def scrapes(ground: Ground) -> None:
    """60 scrapes of ``/metrics`` at once, each read to its end."""

    def scrape(_number: int) -> None:
        with suppress(OSError), connect(ground) as client:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while client.recv(1 << 20):
                pass

    with ThreadPoolExecutor(60) as pool:
        list(pool.map(scrape, range(60)))


def loop_entry(ground: Ground) -> None:
    """A model whose upstream is the gateway."""
    # Refusing the entry is a cure, too: then the requests find no such model.
    with suppress(AssertionError):
        known(ground, [ground.entry("loop", "", "", f"{ground.url}/v1")], 5.0)


def loop(ground: Ground) -> None:
    """20 requests for it, 4 at a time, their clients gone after 10 seconds at most."""

    def ask(_number: int) -> None:
        with suppress(OSError), connect(ground) as client:
            client.settimeout(10.0)
            client.sendall(chat("loop"))
            client.recv(65536)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(20)))


def three_slow(ground: Ground) -> None:
    """A model of three healthy instances that answer in 0.3 s."""
    known(ground, [ground.entry("slow", f"slow{number}", f"i{number}") for number in range(3)])


def impatient(ground: Ground) -> None:
    """100 requests that give it 20 ms, ten at a time."""
    at_once(ground, [chat("slow", "X-Request-Timeout: 0.02")] * 100, 10)


def much_log(ground: Ground) -> None:
    """Requests for paths of 2 kB, until more lines wait than any pipe takes."""
    path = f"GET /{'x' * 2000} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    at_once(ground, [path] * 500, 4)


ATTACKS: Final = (
    Attack("none", "nothing", lambda _ground: None),
    Attack("a", "60 bodies of 44 MiB without a key", keyless_bodies, keyed=True),
    Attack(
        "b",
        "20 bodies of 40 MiB with a key",
        large_bodies,
        lambda ground: known(ground, [ground.entry("sink", "sink")]),
        keyed=True,
    ),
    Attack(
        "c",
        "one body of 44 MiB of []",
        containers,
        lambda ground: known(ground, [ground.entry("sink", "sink")]),
        keyed=True,
    ),
    Attack(
        "d",
        "8 streams of blank lines",
        blank_streams,
        lambda ground: known(ground, [ground.entry("blank", "blank")]),
    ),
    Attack("e", "10,000 entries that accept and say nothing", dead_entries),
    Attack("f", "60 scrapes at once, 5,000 models", scrapes, five_thousand),
    Attack("g", "a model whose upstream is the gateway", loop, loop_entry),
    Attack("h", "100 requests of 20 ms at instances of 0.3 s", impatient, three_slow),
    Attack("i", "nobody reads standard error", much_log, stuck=True),
)


def measure(attack: Attack, root: Path, label: str) -> Row:
    """One attack on a gateway of its own."""
    with Ground(root, keyed=attack.keyed, stuck=attack.stuck) as ground:
        attack.before(ground)
        probe, begun = ground.probe(), time.monotonic()
        with on_core(Cores.of_this_machine().load):
            attack.act(ground)
        threading.Event().wait(max(0.0, begun + LEAST - time.monotonic()))
        seen = probe.end()
        memory = peak_mib(ground.process.pid)
        ejections = float("nan")
        with suppress(OSError):
            ejections = ground.ejections()
        return Row(
            attack,
            label,
            memory,
            quantile(seen["live"]["took"], 0.99),
            seen["live"]["failed"],
            quantile(seen["chat"]["took"], 0.99),
            seen["chat"]["failed"],
            ground.terminate(),
            ejections,
        )


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| attack | code | peak MiB | `/live` p99, ms | chat p99, ms | exit, s | ejections |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells: list[Any] = [
            row.attack.title,
            row.label,
            f"{row.memory:,.0f}",
            _milliseconds(row.live, row.live_failed),
            _milliseconds(row.chat, row.chat_failed),
            f"{row.exit:.1f}" if row.exit <= EXIT_LIMIT else f"more than {EXIT_LIMIT:g}",
            f"{row.ejections:g}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _milliseconds(seconds: float, failed: int) -> str:
    return f"{seconds * 1000:,.0f}" + (f" ({failed} failed)" if failed else "")


def run(report: Report, settings: Settings) -> None:
    """Each attack on each checkout; the promises are of the last one."""
    names = settings.parts(each.key for each in ATTACKS)
    rows: list[Row] = []
    for attack in (each for each in ATTACKS if each.key in names):
        for root in settings.roots:
            row = measure(attack, root, root.resolve().name)
            rows.append(row)
            report.say(table([row]).splitlines()[-1])
        report.promise(f"/live answers within 50 ms: {attack.title}", rows[-1].held)
    if settings.file is not None:
        settings.file.write_text(table(rows))
    report.say("\n" + table(rows))
