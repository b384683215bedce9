"""Pools outlive the registry's incarnations, and no half of a message is ever seen."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.engines import Kind
from actors.engines.pool import InstanceSpec, ModelSpec, PoolListeners
from actors.registry import (
    AddModel,
    DropInstance,
    FindPools,
    ListModels,
    ModelAlreadyExists,
    ModelNotFound,
    PoolFactory,
    PutInstance,
    ReadRegistry,
    RegistryActor,
    RegistryState,
    RemoveModel,
    ResolveModel,
)
from actors.registry.registry import _WRITES  # pyright: ignore[reportPrivateUsage]  # the pure handlers
from actors.supervision import Address, Child, Supervisor
from actors.testing import FakeClock
from tests.engines.pool.fakes import Heard, Manual, Scripted, inflight, start, well

ASK = 5.0


@contextmanager
def registry_with(heard: Heard | None = None) -> Generator[Address]:
    pools = PoolFactory(
        PoolListeners([heard] if heard else []), FakeClock(), random.Random(1).random
    )
    child = Child("registry", lambda: RegistryActor.start(pools), hand_over=True)
    tree = Supervisor.start(child, intensity=10_000, name="test")
    try:
        yield tree.address("registry")
    finally:
        tree.stop(timeout=ASK)


@pytest.fixture
def registry() -> Iterator[Address]:
    with registry_with() as made:
        yield made


def put(
    registry: Address, instance: str, engine: Manual | Scripted, *, draining: bool = False
) -> None:
    spec = InstanceSpec(draining=draining)
    registry.ask(PutInstance(Kind.CHAT, "m", instance, engine, spec), timeout=ASK)


def kill(registry: Address) -> None:
    epoch = registry.epoch
    registry.tell("poison")
    registry.ask(ListModels(Kind.CHAT), timeout=ASK)
    assert registry.epoch == epoch + 1


def test_what_is_in_flight_survives_the_registrys_death_and_later_changes(
    registry: Address,
) -> None:
    engine = Manual()
    put(registry, "1", engine)
    pool = registry.ask(ResolveModel(Kind.CHAT, "m"), timeout=ASK).engine
    sink = start(pool)
    kill(registry)
    put(registry, "2", Manual())
    assert registry.ask(ResolveModel(Kind.CHAT, "m"), timeout=ASK).engine is pool
    assert inflight(pool) == {"1": 1, "2": 0}
    engine.last.sink.finish()
    assert sink.ends == ["finish"]
    assert inflight(pool) == {"1": 0, "2": 0}


def test_a_draining_instance_stays_draining_over_the_registrys_death(registry: Address) -> None:
    put(registry, "1", Manual("http://1"))
    put(registry, "1", Manual("http://1"), draining=True)
    kill(registry)
    assert registry.ask(ResolveModel(Kind.CHAT, "m"), timeout=ASK).engine.serving == 0


def test_listeners_hear_of_pools_that_open_and_close() -> None:
    heard = Heard()
    with registry_with(heard) as registry:
        put(registry, "1", Manual())
        put(registry, "2", Manual())
        registry.ask(DropInstance(Kind.CHAT, "m", "1"), timeout=ASK)
        registry.ask(DropInstance(Kind.CHAT, "m", "2"), timeout=ASK)
    assert [(name, pool.model) for name, pool in heard.events] == [
        ("pool_opened", "m"),
        ("pool_closed", "m"),
    ]


def test_a_listener_that_fails_costs_nobody_anything() -> None:
    class Broken(Heard):
        def pool_opened(self, pool: object) -> None:
            raise RuntimeError("a listener's bug")

    with registry_with(Broken()) as registry:
        put(registry, "1", Scripted(well))
        assert start(registry.ask(ResolveModel(Kind.CHAT, "m"), timeout=ASK).engine).ends


# Crash safety, on the pure handlers: whatever moment the actor dies at, the next one is right.


Message = PutInstance | DropInstance | AddModel | RemoveModel
CHAT = st.just(Kind.CHAT)
MODELS, IDS = st.sampled_from(["m", "n"]), st.sampled_from(["1", "2", "3"])
ENGINES = st.builds(Manual, st.sampled_from(["http://1", "http://2"]))
SPECS = st.builds(InstanceSpec, draining=st.booleans())
MODEL_SPECS = st.builds(ModelSpec, aliases=st.tuples(st.sampled_from(["x", "y"])))

MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(PutInstance, CHAT, MODELS, IDS, ENGINES, SPECS, MODEL_SPECS),
    st.builds(DropInstance, CHAT, MODELS, IDS),
    st.builds(AddModel, CHAT, MODELS, ENGINES),
    st.builds(RemoveModel, CHAT, MODELS),
)


def picture(state: RegistryState) -> dict[str, list[tuple[str, str]]]:
    """Every model with its instances and their states."""
    return {
        model.name: [(each.id, each.state) for each in model.pool.view().instances]
        for model in state.catalogs[Kind.CHAT].models.values()
    }


def specs(state: RegistryState) -> list[ModelSpec]:
    """What is believed of each model, which is what its pool works by."""
    models = [*state.catalogs[Kind.CHAT].models.values()]
    assert [model.spec for model in models] == [model.pool.spec for model in models]
    return [model.spec for model in models]


def handle(state: RegistryState, message: Message, pools: PoolFactory) -> RegistryState:
    try:
        return _WRITES[type(message)](state, message, pools)
    except (ModelAlreadyExists, ModelNotFound):
        return state


def run(effects: tuple[Callable[[], object], ...]) -> None:
    for effect in effects:
        effect()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(MESSAGES, st.integers(0, 3)), max_size=25))
def test_whenever_it_dies_the_next_one_is_where_it_would_have_been(
    script: list[tuple[Message, int]],
) -> None:
    def pools() -> PoolFactory:
        return PoolFactory(PoolListeners(), FakeClock(), random.Random(1).random)

    safe_pools, risky_pools = pools(), pools()
    safe, risky = RegistryState(), RegistryState()
    for message, done_before_death in script:
        safe = handle(safe, message, safe_pools)
        run(safe.effects)
        risky = handle(risky, message, risky_pools)
        run(risky.effects[:done_before_death])  # it dies here,
        run(risky.effects)  # and the next incarnation does them all
        assert picture(risky) == picture(safe)
        assert risky.revision == safe.revision
        assert specs(risky) == specs(safe)


def test_a_model_whose_engine_is_replaced_keeps_its_place_in_the_order(registry: Address) -> None:
    first = Manual()
    registry.ask(AddModel(Kind.CHAT, "m", first), timeout=ASK)
    registry.ask(AddModel(Kind.CHAT, "later", Manual()), timeout=ASK)
    before = registry.ask(ReadRegistry(), timeout=ASK)
    put(registry, "1", Manual())
    after = registry.ask(ReadRegistry(), timeout=ASK)
    assert before.chat.list() == after.chat.list() == ["m", "later"]
    assert before.chat.get("m") is first
    assert after.chat.get("m") is registry.ask(ResolveModel(Kind.CHAT, "m"), timeout=ASK).engine


def test_a_state_that_was_read_keeps_its_models(registry: Address) -> None:
    put(registry, "1", Manual())
    state = registry.ask(ReadRegistry(), timeout=ASK)
    registry.ask(AddModel(Kind.CHAT, "later", Manual()), timeout=ASK)
    registry.ask(RemoveModel(Kind.CHAT, "m"), timeout=ASK)
    assert state.chat.list() == ["m"]
    assert registry.ask(FindPools("m"), timeout=ASK) == ()
