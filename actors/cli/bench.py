"""``bench``: how fast a model answers, of any OpenAI-compatible server."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from actors.cli.client import Client, Unreachable
from actors.cli.follow import seconds
from actors.cli.output import Lines, document, progress, shown, table
from actors.cli.parsing import parse_settings
from actors.cli.signals import FAILED, OK
from actors.cli.streamed import Answer, model_client, pieces, question
from actors.settings.bench import BenchSettings

__all__ = ["DESCRIPTION", "quantile", "run", "summary"]

DESCRIPTION: Final = """
Measure a model of any OpenAI-compatible server: -n streamed requests, -c at a time, each on a
connection that is kept.

first token: from sending a request to its first piece of text; gap: between two pieces; duration:
to the end. tokens/s is of one request after its first token, and in all: everything over the whole
time. Tokens are the server's own count where it tells one, else pieces. The exit code is 1 if any
request failed.
"""

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


@dataclass
class _Run:
    """What all threads share: the requests left to begin, and what came of the others."""

    left: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: list[Answer] = field(default_factory=list[Answer])
    failures: Counter[str] = field(default_factory=Counter[str])
    stopped: bool = False

    def take(self) -> bool:
        """Whether there is one more request to begin."""
        with self.lock:
            if self.stopped or self.left == 0:
                return False
            self.left -= 1
            return True

    def note(self, answer: Answer, failure: str | None) -> None:
        """Keep what came of one request."""
        with self.lock:
            if failure is None:
                self.answers.append(answer)
            else:
                self.failures[failure] += 1

    @property
    def done(self) -> int:
        """Requests that ended."""
        return len(self.answers) + self.failures.total()


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Measure and print; returns 0, or 1 if a request failed. Raises ``UsageError``."""
    settings = parse_settings(BenchSettings, "bench", DESCRIPTION, arguments, environment)
    concurrency = min(settings.concurrency, settings.requests)
    clients = [model_client(settings, settings.timeout) for _ in range(concurrency)]
    shared = _Run(settings.requests)
    began = time.monotonic()
    _work(shared, clients, settings)
    result = summary(settings.model, shared.answers, shared.failures, time.monotonic() - began)
    if settings.output == "table":
        print("\n".join(_lines(result)), flush=True)
    else:
        print(document(result, settings.output), flush=True)
    return FAILED if shared.failures else OK


def _work(shared: _Run, clients: Sequence[Client], settings: BenchSettings) -> None:
    """Ask on a thread for each client until no request is left; Ctrl-C ends it early."""
    threads = [
        threading.Thread(target=_ask_all, args=(shared, client, settings), daemon=True)
        for client in clients
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.25)
                _show_progress(shared, settings.requests)
    except KeyboardInterrupt:
        shared.stopped = True
        for client in clients:
            client.close()
    progress("")


def _show_progress(shared: _Run, requests: int) -> None:
    tokens = sum(answer.counted for answer in [*shared.answers])
    failed = f", {shared.failures.total()} failed" if shared.failures else ""
    progress(f"{shared.done} of {requests} requests, {tokens} tokens{failed} …")


def _ask_all(shared: _Run, client: Client, settings: BenchSettings) -> None:
    messages = [{"role": "user", "content": settings.prompt}]
    body = question(settings.model, messages, settings.max_tokens, None)
    while shared.take():
        answer, failure = Answer(), None
        try:
            for _ in pieces(client, body, answer):
                pass
        except Unreachable as error:
            failure = str(error)
        if not shared.stopped:
            shared.note(answer, failure)
    client.close()


def quantile(values: Sequence[float], share: float) -> float | None:
    """The value that ``share`` of all do not exceed (nearest rank); None for no values; pure."""
    if not values:
        return None
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def summary(
    model: str, answers: Sequence[Answer], failures: Mapping[str, int], took: float
) -> dict[str, Any]:
    """Everything that was measured, as one document; times are in seconds; pure."""
    tokens = sum(answer.counted for answer in answers)
    measured = {
        "first_token": [each.first_token for each in answers if each.first_token is not None],
        "gap": [gap for answer in answers for gap in answer.gaps],
        "duration": [answer.duration for answer in answers],
    }
    speeds = [answer.speed for answer in answers if answer.speed is not None]
    return {
        "model": model,
        "requests": len(answers),
        "failures": dict(failures),
        "took": took,
        "requests_per_second": len(answers) / took if took else 0.0,
        "tokens": tokens,
        "tokens_per_second": tokens / took if took else 0.0,
        **{
            name: {label: quantile(values, share) for label, share in QUANTILES.items()}
            for name, values in measured.items()
        },
        "tokens_per_second_of_a_request": {
            label: quantile(speeds, share) for label, share in QUANTILES.items()
        },
    }


def _lines(result: Mapping[str, Any]) -> Lines:
    yield (
        f"{shown(result['model'])}: {result['requests']} requests in {result['took']:.1f} s, "
        f"{result['requests_per_second']:.1f} a second; {result['tokens']} tokens, "
        f"{result['tokens_per_second']:.1f} a second"
    )
    times = [
        (name.replace("_", " "), *map(seconds, result[name].values()))
        for name in ("first_token", "gap", "duration")
    ]
    speeds = [
        "-" if speed is None else f"{speed:.1f}"
        for speed in result["tokens_per_second_of_a_request"].values()
    ]
    yield from table([("", *QUANTILES), *times, ("tokens/s", *speeds)])
    for why, count in result["failures"].items():
        yield f"failed {count} times: {shown(why)}"
