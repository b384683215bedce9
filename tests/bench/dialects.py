"""``make bench ARGS=dialects``: what other APIs cost beside chat completions, in pairs.

Translated: a stream of Messages or Responses, made of a chat stream, per token above that stream
relayed. Passed through: a stream of Messages that the upstream says itself, over a relayed chat
stream. Embeddings: one relayed vector of 1,024 numbers in base64, over a relayed unary chat. The
two sides of a pair take turns, request by request of the load; the figures are medians over the
rounds of CPU that the kernel charged to the service.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.peers.clients import Request
from tests.bench.peers.load import Load, drive
from tests.bench.peers.process import Mock
from tests.bench.peers.script import Script, post
from tests.bench.served import Served, Spent
from tests.support.chat import wait_for_model
from tests.support.cpu import Cores, on_core
from tests.support.etcd import EtcdServer, unique_root
from tests.support.stats import middle

__all__ = ["PAIRS", "Pair", "main"]

_MICRO: Final = 1e6
TOKENS: Final = 64
CLIENTS: Final = 8
_AT_ONCE: Final = Script(TOKENS)
_PACED: Final = Script(TOKENS, pace=10)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two kinds of request, and a ``figure`` of the CPU µs of each, at most ``budget``."""

    name: str
    one: Request
    other: Request
    requests: int
    figure: Callable[[float, float], float]
    unit: str
    budget: float


def _posted(path: str, body: dict[str, Any], marks: int, *, stamped: bool = False) -> Request:
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Accept: */*\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    # NOTE: these streams end without [DONE]; that every token came is what is judged.
    return Request(head.encode() + content, marks, stamped=stamped)


def _messages(model: str, script: Script) -> Request:
    turns = [{"role": "user", "content": script.text}]
    body = {"model": model, "max_tokens": 99, "stream": True, "messages": turns}
    body["system"] = "You are a helpful assistant."
    return _posted("/v1/messages", body, script.tokens, stamped=script.pace > 0)


def _responses(model: str, script: Script) -> Request:
    body = {"model": model, "max_output_tokens": 99, "stream": True, "input": script.text}
    body["instructions"] = "You are a helpful assistant."
    # A response says its text again where it ends: each token's mark stands there four times more.
    return _posted("/v1/responses", body, script.tokens * 5)


def _relayed(script: Script, *, stream: bool) -> Request:
    return Request(post(script, stream=stream), script.tokens, stream, script.pace > 0)


def _above(one: float, other: float) -> float:
    return (one - other) / TOKENS


def _over(one: float, other: float) -> float:
    return one / other


_EMBEDDINGS: Final = _posted(
    "/v1/embeddings",
    {"model": "vectors", "input": "a text of some words", "encoding_format": "base64"},
    0,
)
_STREAM: Final = _relayed(_AT_ONCE, stream=True)

PAIRS: Final = (
    Pair("messages, translated", _messages("mock", _AT_ONCE), _STREAM, 150, _above, "µs", 8),
    Pair("responses, translated", _responses("mock", _AT_ONCE), _STREAM, 150, _above, "µs", 8),
    Pair(
        "messages, passed through",
        _messages("native", _AT_ONCE),
        _STREAM,
        150,
        _over,
        "times",
        1.03,
    ),
    Pair(
        "messages, passed through, 100 tokens/s",
        _messages("native", _PACED),
        _relayed(_PACED, stream=True),
        CLIENTS,
        _over,
        "times",
        1.03,
    ),
    Pair("embeddings", _EMBEDDINGS, _relayed(Script(16), stream=False), 500, _over, "times", 1.2),
)


@contextmanager
def _serving() -> Generator[Served]:
    """The subject before one mock upstream, which is three models."""
    core, root = Cores.of_this_machine().load, unique_root()
    before = os.sched_getaffinity(0)
    with Mock(core) as mock, on_core(core), EtcdServer() as etcd:
        os.sched_setaffinity(0, before)
        for kind, model, more in (
            ("chat", "mock", {}),
            ("chat", "native", {"speaks": ["messages"]}),
            ("embeddings", "vectors", {}),
        ):
            entry = {"name": model, "model_type": kind, "endpoint": {"url": f"{mock.url}/v1"}}
            etcd.put(f"{root}/models/{kind}/{model}", json.dumps({**entry, **more}))
        with Served(("--etcd", etcd.endpoint, "--etcd-root", root)) as served:
            for model in ("mock", "native", "vectors"):
                wait_for_model("http://{}:{}".format(*served.ours), model)
            yield served


def _cpu(served: Served, request: Request, requests: int) -> float:
    """CPU µs of the service for one request."""
    spent = Spent(served)
    seen = drive(served.ours, Load(request, CLIENTS, requests))
    whole, _ = spent.so_far()
    if seen.done != requests:
        raise RuntimeError(f"a request was not answered as it should be: {dict(seen.failed)}")
    return whole / requests * _MICRO


def _measured(served: Served, pair: Pair, rounds: int) -> tuple[list[float], list[float]]:
    """Both sides of ``pair``, by round; every other round the second one goes first."""
    sides = (pair.one, pair.other)
    costs: tuple[list[float], list[float]] = ([], [])
    for number in range(-1, rounds):  # the first one warms up
        order = (0, 1) if number % 2 else (1, 0)
        for side in order:
            cost = _cpu(served, sides[side], pair.requests)
            if number >= 0:
                costs[side].append(cost)
    return costs


def main(arguments: Sequence[str]) -> int:
    """Measure every pair; 1 if a figure is above its budget."""
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=dialects",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="pairs whose name contains this text")
    options = parser.parse_args(arguments)
    line = "{:<40} {:>9} {:>9} {:>9} {:>7}"
    print(line.format("pair", "CPU µs", "chat", "figure", "budget"))
    above = False
    with _serving() as served:
        for pair in PAIRS:
            if options.only not in pair.name:
                continue
            one, other = _measured(served, pair, options.rounds)
            figure = middle(list(map(pair.figure, one, other)))
            above = above or figure > pair.budget
            cells = (f"{middle(one):.0f}", f"{middle(other):.0f}", f"{figure:.3g} {pair.unit}")
            print(line.format(pair.name, *cells, pair.budget), flush=True)
    return int(above)
