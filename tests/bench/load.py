"""The load: kept-alive connections, one request at a time on each, answers read to their end."""

from __future__ import annotations

import socket
import threading
import time

from tests.bench.cases import Case
from tests.bench.served import Served

__all__ = ["measure"]

READ_SIZE = 65536


def measure(served: Served, case: Case, requests: int, connections: int) -> tuple[float, float]:
    """CPU microseconds of the service per request, and requests per second."""
    failures: list[BaseException] = []
    each = max(1, requests // connections)

    def client() -> None:
        try:
            _loop(served, case, each)
        except (OSError, AssertionError) as error:
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(connections)]
    cpu, begun = served.cpu_seconds(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begun
    used = served.cpu_seconds() - cpu
    if failures:
        raise RuntimeError(f"{case.name}: {len(failures)} clients failed") from failures[0]
    done = each * connections
    return used / done * 1e6, done / seconds


def _loop(served: Served, case: Case, requests: int) -> None:
    connection = _connect(served)
    for _ in range(requests):
        connection.sendall(case.request)
        answer = b""
        while not answer.endswith(case.end):
            received = connection.recv(READ_SIZE)
            assert received, f"the service closed the connection after {answer[-200:]!r}"
            answer += received
        assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
        # Until streams keep their connection, each one costs the client a new one.
        if b"connection: close" in answer[:1000].lower():
            connection.close()
            connection = _connect(served)
    connection.close()


def _connect(served: Served) -> socket.socket:
    connection = socket.create_connection(served.address, timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
