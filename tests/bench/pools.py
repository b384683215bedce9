"""``make bench ARGS=pools``: what a pool costs, and what it is good for."""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Any

from actors.engines import Context, Kind
from actors.engines.contract import Chunk, EngineRequest, Sink
from actors.engines.dialect import Continues
from actors.engines.pool import InstanceSpec, ModelSpec, PolicyName, Pool
from actors.engines.pool.instance import Instance, Place
from actors.engines.pool.policies import draw, new_policy
from actors.engines.pool.policies.cache_affinity import MAX_BLOCKS, PrefixIndex, cache_key
from actors.registry import AddModel, PutInstance, RegistryActor, ResolveModel
from actors.supervision import Child, Supervisor
from actors.supervision.address import Question
from tests.engines.asking import chat
from tests.engines.pool.simulation import latencies, percentile

ROUNDS = 9
"""Rounds of which the least is told, for whatever disturbs a round only adds to it; each measures
with and without the pool in turn."""

ASK = 60.0


class NoSink:
    """A client that looks at nothing."""

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        del chunk, tokens

    def has_room(self, when_room: Callable[[], object]) -> bool:
        del when_room
        return True

    def answer(self, body: bytes) -> None:
        del body

    def finish(self) -> None:
        pass

    def fail(self, error: BaseException) -> None:
        raise error


CHUNK: Chunk = {"choices": []}
EVENT: Chunk = (
    b'data: {"id":"chatcmpl-4XkGZ0Nf2uQm","object":"chat.completion.chunk","created":1795789705,'
    b'"model":"smollm2","choices":[{"index":0,"delta":{"content":" dragon"},"finish_reason":null}]}'
    b"\n\n"
)
"""A token, as a relay pushes it."""


class Instant:
    """Pushes ``chunk`` ``tokens`` times and finishes, at once."""

    def __init__(self, tokens: int = 1, chunk: Chunk = CHUNK) -> None:
        self._tokens = tokens
        self._chunk = chunk

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        del request, context
        for _ in range(self._tokens):
            sink.push(self._chunk)
        sink.finish()


def pool_of(
    size: int, policy: PolicyName, tokens: int = 1, continues: Continues | None = None
) -> Pool:
    pool = Pool("m", spec=ModelSpec(policy=policy))
    for number in range(size):
        spec = InstanceSpec(endpoint=str(number), continues=continues)
        pool.put(str(number), Instant(tokens, EVENT), spec)
    return pool


def cost(engine: Pool | Instant, requests: int) -> float:
    """CPU microseconds of a request, the client's sink and context included."""
    request, sink = chat(user="someone"), NoSink()
    gc.collect()
    began = time.thread_time()
    for _ in range(requests):
        engine.start(request, sink, Context("r"))
    return (time.thread_time() - began) / requests * 1e6


def added(pool: Pool, alone: Instant, requests: int) -> float:
    """Microseconds that ``pool`` adds: the least of rounds in which both were measured."""
    cost(pool, 100)
    rounds = [(cost(pool, requests), cost(alone, requests)) for _ in range(ROUNDS)]
    return min(with_pool for with_pool, _ in rounds) - min(without for _, without in rounds)


def routing(requests: int) -> Iterator[str]:
    yield f"{'added to a request (CPU µs)':36}{'1':>10}{'1,000':>10}{'10,000 instances':>18}"
    for policy in PolicyName:
        figures = [added(pool_of(s, policy), Instant(), requests) for s in (1, 1000, 10_000)]
        yield f"  {policy:34}{figures[0]:10.1f}{figures[1]:10.1f}{figures[2]:18.1f}"
    asks = min(ask_cost(requests) for _ in range(ROUNDS))
    yield f"  {'a registry ask, for comparison':34}{asks:10.1f}"
    for name, way in (
        ("each chunk after the first", None),
        ("  where others may go on with it", Continues.PREFILL),
    ):
        pools = [pool_of(4, PolicyName.LEAST_LOADED, count, way) for count in (1001, 1)]
        long = added(pools[0], Instant(1001), max(requests // 200, 5))
        short = added(pools[1], Instant(1), requests)
        yield f"  {name:34}{(long - short) / 1000:10.3f}"


def ask_cost(requests: int) -> float:
    """CPU microseconds of a question to a registry with one model."""
    engine = Instant()
    add = AddModel(Kind.CHAT, "m", engine)
    question = ResolveModel(Kind.CHAT, "m")
    return timed(chain((add,), repeat(question, requests))) / requests * 1e6


def adding(count: int) -> Iterator[str]:
    """With and without the collector, which searches a heap that only grows again and again."""
    yield f"{'added one by one (CPU s)':36}{count:>10,}{2 * count:>10,}{'ratio':>18}"
    for name, add in (("models", add_models), ("instances of one model", add_instances)):
        for collector in (gc.enable, gc.disable):
            collector()
            once, twice = add(count), add(2 * count)
            told = name if collector is gc.enable else f"{name}, no collector"
            yield f"  {told:34}{once:10.2f}{twice:10.2f}{twice / once:18.2f}"
    gc.enable()


def add_models(count: int) -> float:
    engine = Instant()
    return timed(AddModel(Kind.CHAT, f"model-{number}", engine) for number in range(count))


def add_instances(count: int) -> float:
    engine = Instant()
    return timed(PutInstance(Kind.CHAT, "m", str(number), engine) for number in range(count))


def timed(messages: Iterable[Question[Any]]) -> float:
    """CPU seconds for a registry to handle them, asked one after the other."""
    gc.collect()
    child = Child("registry", RegistryActor.start, hand_over=True)
    tree = Supervisor.start(child, name="bench")
    registry = tree.address("registry")
    try:
        began = time.thread_time()
        for message in messages:
            registry.ask(message, timeout=ASK)
        return time.thread_time() - began
    finally:
        tree.stop(timeout=ASK)


def balance(requests: int) -> Iterator[str]:
    yield f"{'8 servers, one 10 times slower (s)':36}{'p50':>10}{'p99':>10}"
    for policy in (PolicyName.ROUND_ROBIN, PolicyName.POWER_OF_TWO, PolicyName.LEAST_LOADED):
        took = latencies(policy, [0.1] * 7 + [1.0], requests=requests)
        yield f"  {policy:34}{percentile(took, 50):10.2f}{percentile(took, 99):10.2f}"


def caching(requests: int) -> Iterator[str]:
    """What the policy ``cache`` computes for a prompt, warm, and what its full index holds."""
    yield f"{'policy cache (CPU µs)':36}{'key':>10}{'choice':>10}"
    policy = new_policy(PolicyName.CACHE, draw)
    for number in range(8):
        spec = InstanceSpec()
        each = Instance(str(number), Instant(), spec, str(number), 0.0)
        each.place = Place.ACTIVE
        policy.add(each)
    for name, characters in (("a short prompt", 300), ("a prompt of 8,000 tokens", 32_000)):
        request, context = chat("x" * characters), Context("r")
        blocks = cache_key(request, context)
        key = least(partial(cache_key, request, context), requests)
        choice = least(partial(policy.pick, blocks), requests)
        yield f"  {name:34}{key:10.1f}{choice:10.1f}"
    tracemalloc.start()
    index = PrefixIndex()
    for number in range(2 * MAX_BLOCKS):
        index.learn((hash((number, number)),), number % 8)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    yield f"  {'the index at its fullest (MB)':34}{held / 1e6:10.1f}"


def least(call: Callable[[], object], times: int) -> float:
    """CPU microseconds of one call: the least of rounds."""
    took: list[float] = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(times):
            call()
        took.append((time.thread_time() - began) / times * 1e6)
    return min(took)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(prog="make bench ARGS='pools …'", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="in a round (default 2000)")
    parser.add_argument("--count", type=int, default=10_000, help="models to add (default 10000)")
    parser.add_argument(
        "only", nargs="*", help="routing, caching, adding, balance; all if none is named"
    )
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "routing": lambda: routing(options.requests),
        "caching": lambda: caching(options.requests),
        "adding": lambda: adding(options.count),
        "balance": lambda: balance(options.requests),
    }
    for name, part in parts.items():
        if not options.only or name in options.only:
            for line in part():
                print(line, flush=True)


if __name__ == "__main__":
    main()
