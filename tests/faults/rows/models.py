"""Row 18, with the real model: a worker is killed while clients stream from it."""

from __future__ import annotations

import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from actors.testing.faults import Fault, Kill
from tests.faults.answers import Broken, Question, judged, read_answer
from tests.faults.evidence import Evidence
from tests.faults.invariants import Invariant, all_failures_are, at_least, common, fact_is
from tests.faults.load import Target, request_bytes
from tests.faults.scenario import Figure, Scenario
from tests.faults.worlds.doing import Doing
from tests.faults.worlds.models import MODEL, modelled
from tests.faults.worlds.served import ServedWorld

__all__ = ["ROWS"]

LONG: Final = Target(MODEL, stream=True, any_text=True, max_tokens=150)
CLIENTS: Final = 4
BEGUN: Final = 30.0
ENDED: Final = 60.0
TEXT: Final = "Tell a long story of a fox and a crow."
TOLD: Final = "error event .*"
"""How a stream ends whose worker died: what a client has read can't be taken back."""


class _Streams:
    """Clients that read long answers; :attr:`begun` is set once each has its first bytes."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._first = threading.Semaphore(0)
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._ends = [self._pool.submit(self._stream) for _ in range(CLIENTS)]

    def await_first_bytes(self) -> int:
        """Wait until every client has some of its answer; how many have."""
        deadline = time.monotonic() + BEGUN
        return sum(
            self._first.acquire(timeout=max(0.0, deadline - time.monotonic()))
            for _ in range(CLIENTS)
        )

    def outcomes(self) -> list[str]:
        """How each ended."""
        found = [each.result(ENDED + BEGUN) for each in self._ends]
        self._pool.shutdown()
        return found

    def _stream(self) -> str:
        received = b""
        try:
            with socket.create_connection(self._address, ENDED) as client:
                client.sendall(request_bytes(LONG, TEXT))
                while (answer := read_answer(received)) is None:
                    piece = client.recv(65536)
                    if not piece:
                        return "cut"
                    if not received:
                        self._first.release()
                    received += piece
        except Broken as broken:
            return f"wrong: {broken}"
        except TimeoutError:
            return "late"
        except OSError:
            return "cut"
        return judged(Question(MODEL, stream=True, text=None), answer)


def _kill_worker(world: ServedWorld, _rng: Any) -> Fault:
    """SIGKILL to one of two workers once long answers have begun at both."""
    first = world.extra.pop("model_workers")[0]
    kill = Kill(lambda: first.process.pid)

    def begin(facts: dict[str, Any]) -> None:
        streams = _Streams(world.address)
        facts["begun"] = streams.await_first_bytes()
        kill.inject()
        facts["met"] = streams.outcomes()

    return Doing("SIGKILL of a model's worker", begin)


def _long_ones_end_well(seen: Evidence) -> str | None:
    bad = [each for each in seen.fact("met", []) if not re.fullmatch(f"ok|{TOLD}", each)]
    return f"long streams ended as {bad}" if bad else None


def _broken_off(seen: Evidence) -> float:
    """Long streams that ended with a break."""
    met: list[str] = seen.fact("met", [])
    return sum(each.startswith("error event") for each in met)


ROWS: Final = (
    Scenario(
        18,
        "model-worker",
        "one of two workers with a real model is killed while clients stream",
        "models",
        modelled,
        _kill_worker,
        (
            *common("C1", "C2", "C3", "C4", "C5", "C6", "C8", "C9"),
            # A failure before the first byte would be a status.
            all_failures_are(TOLD),
            Invariant("a loss within a stream is an error event, then [DONE]", _long_ones_end_well),
            fact_is("begun", CLIENTS, "the long answers had begun", always=False),
            at_least(_broken_off, 1, "and some of them were at the worker that died"),
        ),
        (
            Figure("long streams with a break", "", _broken_off),
            Figure("short streams with a break", "", lambda e: len(e.failed())),
            Figure("outage", "s", Evidence.outage),
        ),
        seconds=4.0,  # longer than etcd remembers the dead worker
        patience=60.0,
    ),
)
