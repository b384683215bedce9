"""A service with models of every kind of media, and the workers behind them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.engines.contract import MEDIA
from actors.engines.pool import ModelSpec, PolicyName
from actors.engines.upstream import UpstreamEngine
from actors.registry import DropInstance, PutInstance, RegistryActor
from actors.supervision import Address, Child, Supervisor
from http_service import HttpService, ModelManager
from tests.http_service.api.media.requests import Worker
from tests.http_service.conftest import LOCAL
from tests.http_service.serving import Client, running

ASK = 10.0


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Worker]:
    with Worker() as server:
        yield server


@pytest.fixture
def registry() -> Iterator[Address]:
    tree = Supervisor.start(Child("registry", RegistryActor.start, hand_over=True), name="test")
    yield tree.address("registry")
    tree.stop(timeout=ASK)


@pytest.fixture
def engines(worker: Worker, other: Worker, registry: Address) -> Iterator[list[UpstreamEngine]]:
    """Of the models "up" (also "alias"), "theirs" (called otherwise there), "two" and "set"."""
    first, theirs, second = (
        UpstreamEngine(worker.url),
        UpstreamEngine(worker.url, model="in there"),
        UpstreamEngine(other.url),
    )
    models = [
        ("up", "1", first, ModelSpec(aliases=("alias",), adapters=("law",))),
        ("theirs", "1", theirs, ModelSpec()),
        ("two", "1", first, ModelSpec(policy=PolicyName.ROUND_ROBIN)),
        ("two", "2", second, ModelSpec(policy=PolicyName.ROUND_ROBIN)),
        ("set", "1", first, ModelSpec(defaults={"language": "en", "n": 2, "model": "never"})),
    ]
    for kind in MEDIA:
        for model, instance, engine, spec in models:
            registry.ask(PutInstance(kind, model, instance, engine, model_spec=spec), timeout=ASK)
    yield [first, theirs, second]
    for kind in MEDIA:
        for model, instance, *_ in models:
            registry.ask(DropInstance(kind, model, instance), timeout=ASK)
    for engine in (first, theirs, second):
        engine.close()


@pytest.fixture
def served(registry: Address, engines: list[UpstreamEngine]) -> Iterator[HttpService]:
    del engines
    with ModelManager(registry) as manager, HttpService(LOCAL, manager) as service:
        yield service


@pytest.fixture
def relay(served: HttpService) -> Iterator[Client]:
    with running(served) as live:
        client = Client(live.address)
        yield client
        client.close()
