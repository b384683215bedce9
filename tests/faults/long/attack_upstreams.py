"""The upstreams of the attacks, in one process: well ones, slow ones, one that is all blank lines.

``python -m tests.faults.long.attack_upstreams`` prints their ports as JSON by name and serves until
its standard input ends. ``silent`` takes connections at :data:`SILENT` loopback addresses and says
nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

__all__ = ["SILENT", "main", "silent_address"]

SILENT: Final = 10_000
"""Addresses at which a connection is taken and nothing is said."""

SLOW: Final = 0.3
"""Seconds that the slow ones take."""
SINK: Final = 1.0
"""Seconds after which a large body is answered, so that many are under way together."""
BLANK: Final = b"\n" * (1 << 20)
STREAM: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHAT: Final = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hi"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()
LIST: Final = b'{"object": "list", "data": []}'

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _requests(reader: asyncio.StreamReader) -> str:
    """Read one request, throw its body away; its method."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lengths = [
        int(line.partition(":")[2])
        for line in head.split("\r\n")
        if line.lower().startswith("content-length:")
    ]
    left = lengths[0] if lengths else 0
    while left:
        piece = await reader.read(min(left, 65536))
        if not piece:
            raise ConnectionResetError
        left -= len(piece)
    return head.partition(" ")[0]


async def well(delay: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each chat after ``delay`` seconds, everything else at once."""
    with suppress(OSError, asyncio.IncompleteReadError):
        while True:
            post = await _requests(reader) == "POST"
            if post:
                await asyncio.sleep(delay)
            body = CHAT if post else LIST
            head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(b"HTTP/1.1 200 OK\r\n" + head.encode() + body)
            await writer.drain()
    writer.close()


def blank() -> int:
    """Answer with streams of nothing but blank lines, as fast as they are taken; the port.

    On threads: a loop of asyncio's would be slower than what it attacks.
    """
    door = socket.create_server(("127.0.0.1", 0), backlog=64)

    def flood(client: socket.socket) -> None:
        with client, suppress(OSError):
            while not client.recv(65536).startswith(b"POST"):
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            client.sendall(STREAM)
            while True:
                client.sendall(BLANK)

    def accept() -> None:
        while True:
            threading.Thread(target=flood, args=(door.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(door.getsockname()[1])


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing until the other side leaves."""
    with suppress(OSError):
        while await reader.read(65536):
            pass
    writer.close()


HANDLERS: Final[dict[str, Handler]] = {
    "well": partial(well, 0.0),
    "sink": partial(well, SINK),
    "slow0": partial(well, SLOW),
    "slow1": partial(well, SLOW),
    "slow2": partial(well, SLOW),
}


def silent_address(number: int) -> str:
    """One of the :data:`SILENT` loopback addresses, by its number from 0."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


async def _listen_silently() -> int:
    """Listen at every silent address, on one port; the port."""
    first = await asyncio.start_server(silent, silent_address(0), 0)
    port = int(first.sockets[0].getsockname()[1])
    others = [silent_address(number) for number in range(1, SILENT)]
    _kept.extend([first, await asyncio.start_server(silent, others, port)])
    return port


_kept: Final[list[asyncio.Server]] = []
"""Servers that nothing else refers to: they listen until the process ends."""


async def _serve() -> None:
    servers = {
        name: await asyncio.start_server(handler, "127.0.0.1", 0, backlog=4096, limit=1 << 20)
        for name, handler in HANDLERS.items()
    }
    ports = {name: each.sockets[0].getsockname()[1] for name, each in servers.items()}
    ports |= {"silent": await _listen_silently(), "blank": blank()}
    print(json.dumps(ports), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # thousands of connections that nobody has to end one by one


def main() -> None:
    """Serve until standard input ends."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
