"""Twenty writers on one etcd, each with keys of its own; they ride out whatever it does.

Each has *steady* keys, whose values change and which are never deleted, and *loose* ones, which
come, change, go, and hang on leases that are revoked or left to run out.
"""

from __future__ import annotations

import json
import random
import threading
from types import TracebackType
from typing import Final, Self

from tests.support.etcd import EtcdServer

__all__ = ["WRITERS", "Writers", "entry"]

WRITERS: Final = 20
STEADY: Final = 2
"""Steady keys of one writer."""
LOOSE: Final = 5
"""Loose keys of one writer."""
PAUSE: Final = 0.05
"""Seconds between two writes of one writer: the front-end under test shares this process."""
TTL: Final = 2
"""Seconds of a lease that is left to run out."""


def entry(name: str, port: int) -> tuple[str, str]:
    """Key and value of a model."""
    endpoint = {"url": f"http://127.0.0.1:{port}/v1"}
    value = {"name": name, "model_type": "chat", "endpoint": endpoint}
    return f"/models/chat/{name}", json.dumps(value)


class Writers:
    """A context manager: they write inside, on threads of their own."""

    def __init__(self, etcd: EtcdServer, seed: int) -> None:
        self._etcd: Final = etcd
        self._stop: Final = threading.Event()
        self.writes = 0
        """Writes that etcd acknowledged, roughly: the threads don't count in step."""
        self._threads: Final = [
            threading.Thread(target=self._write, args=(n, random.Random(seed + n)), daemon=True)
            for n in range(WRITERS)
        ]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def put_steady(self) -> set[str]:
        """Put every steady key, before anybody writes; their models."""
        names = {f"steady-{n}-{k}" for n in range(WRITERS) for k in range(STEADY)}
        for name in names:
            self._etcd.put(*entry(name, 1))
        return names

    def stop(self) -> None:
        """End every writer; etcd must answer again by now."""
        self._stop.set()
        for each in self._threads:
            each.join(30)
            assert not each.is_alive(), "a writer hangs"

    def _write(self, number: int, rng: random.Random) -> None:
        while not self._stop.wait(rng.uniform(0, 2 * PAUSE)):
            try:
                self._once(number, rng)
                self.writes += 1
            except (OSError, RuntimeError, ValueError):
                # etcd is down, frozen, or was killed while it answered: that is the weather here.
                self._stop.wait(0.2)

    def _once(self, number: int, rng: random.Random) -> None:
        port = rng.randint(1, 60_000)
        loose = f"loose-{number}-{rng.randrange(LOOSE)}"
        match rng.randrange(10):
            case 0 | 1 | 2:
                self._etcd.put(*entry(f"steady-{number}-{rng.randrange(STEADY)}", port))
            case 3 | 4 | 5:
                self._etcd.put(*entry(loose, port))
            case 6 | 7:
                self._etcd.delete(entry(loose, port)[0])
            case 8:
                self._etcd.put(*entry(loose, port), lease=self._etcd.grant(TTL))
            case _:
                lease = self._etcd.grant(60)
                self._etcd.put(*entry(loose, port), lease=lease)
                self._etcd.revoke(lease)
