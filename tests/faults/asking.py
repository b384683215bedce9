"""One request, its answer read to the end and judged; for faults that ask by themselves."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.faults.answers import Broken, Question, judged, read_answer
from tests.faults.load import Target, request_bytes

__all__ = ["ask", "ask_many"]


def ask(address: tuple[str, int], target: Target, text: str, timeout: float) -> str:
    """The outcome, as in :class:`~tests.faults.evidence.Request`."""
    question = Question(target.model, target.stream, None if target.any_text else text)
    received, deadline = b"", time.monotonic() + timeout
    try:
        with socket.create_connection(address, timeout) as client:
            client.sendall(request_bytes(target, text))
            while True:
                client.settimeout(max(0.01, deadline - time.monotonic()))
                piece = client.recv(1 << 20)
                received += piece
                answer = read_answer(received)
                if answer is not None:
                    return judged(question, answer)
                if not piece:
                    return "cut"
    except Broken as broken:
        return f"wrong: {broken}"
    except TimeoutError:
        return "late"
    except ConnectionRefusedError:
        return "refused"
    except OSError:
        return "cut"


def ask_many(
    address: tuple[str, int], targets: Sequence[Target], text: str, timeout: float
) -> list[str]:
    """Several at once; outcomes in order."""

    def ask_one(target: Target) -> str:
        return ask(address, target, text, timeout)

    with ThreadPoolExecutor(len(targets)) as pool:
        return list(pool.map(ask_one, targets))
