"""What the proxy adds to a round trip while nothing is wrong: run it as a module to print it."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from contextlib import suppress

from actors.testing.faults import TcpProxy

__all__ = ["added_milliseconds"]

TRIPS = 2000


def added_milliseconds(trips: int = TRIPS) -> tuple[float, float]:
    """Median of a round trip without and with the proxy, interleaved, in milliseconds."""
    door = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(door,), daemon=True).start()
    with (
        door,
        TcpProxy(door.getsockname()) as proxy,
        socket.create_connection(door.getsockname()) as direct,
        socket.create_connection(proxy.address) as through,
    ):
        for each in (direct, through):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times: dict[socket.socket, list[float]] = {direct: [], through: []}
        for _ in range(trips):
            for client, seen in times.items():
                begun = time.perf_counter()
                client.sendall(b"ping")
                client.recv(16)
                seen.append(time.perf_counter() - begun)
        return (
            statistics.median(times[direct]) * 1000,
            statistics.median(times[through]) * 1000,
        )


def _serve(door: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = door.accept()
            threading.Thread(target=_echo, args=(client,), daemon=True).start()


def _echo(client: socket.socket) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with client, suppress(OSError):
        while data := client.recv(65536):
            client.sendall(data)


if __name__ == "__main__":
    without, with_proxy = added_milliseconds()
    print(f"direct {without:.3f} ms, through {with_proxy:.3f} ms, added {with_proxy - without:.3f}")
