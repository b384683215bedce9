"""Who answers for a name: the model, the model behind an alias, or its fallback."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from actors.engines import EngineUnavailable, Kind
from actors.engines.contract import EngineRequest
from actors.engines.pool import InstanceSpec, ModelSpec, PolicyName, Pool
from actors.registry import (
    AddModel,
    DropInstance,
    FindPools,
    GetEngine,
    HasModel,
    ListModels,
    ModelNotFound,
    PutInstance,
    ReadRegistry,
    RegistryActor,
    RemoveModel,
    ResolvedModel,
    ResolveModel,
)
from actors.supervision import Address, Child, Supervisor
from tests.engines.asking import chat
from tests.engines.pool.fakes import start
from tests.registry.engines import NamedEngine

ASK = 5.0


@pytest.fixture
def registry() -> Iterator[Address]:
    tree = Supervisor.start(
        Child("registry", RegistryActor.start, hand_over=True), intensity=1000, name="test"
    )
    yield tree.address("registry")
    tree.stop(timeout=ASK)


def put(
    registry: Address,
    model: str,
    instance: str = "1",
    model_spec: ModelSpec | None = None,
    *,
    draining: bool = False,
) -> None:
    spec = InstanceSpec(draining=draining, endpoint=f"http://{instance}")
    message = PutInstance(Kind.CHAT, model, instance, NamedEngine(), spec, model_spec)
    registry.ask(message, timeout=ASK)


def resolve(registry: Address, model: str) -> ResolvedModel:
    return registry.ask(ResolveModel(Kind.CHAT, model), timeout=ASK)


def drop(registry: Address, model: str, instance: str = "1") -> None:
    registry.ask(DropInstance(Kind.CHAT, model, instance), timeout=ASK)


def test_a_model_answers_under_its_own_name(registry: Address) -> None:
    put(registry, "m")
    route = resolve(registry, "m")
    assert (route.asked, route.model, len(route.engine)) == ("m", "m", 1)


def test_an_engine_of_this_process_is_routed_to_by_a_pool_of_one(registry: Address) -> None:
    engine = NamedEngine()
    registry.ask(AddModel(Kind.CHAT, "m", engine), timeout=ASK)
    assert registry.ask(GetEngine(Kind.CHAT, "m"), timeout=ASK) is engine
    assert len(resolve(registry, "m").engine) == 1


def test_an_unknown_model_is_not_found_by_the_name_that_was_asked(registry: Address) -> None:
    with pytest.raises(ModelNotFound) as raised:
        resolve(registry, "ghost")
    assert raised.value.model == "ghost"


def test_an_alias_answers_with_the_primary_name(registry: Address) -> None:
    put(registry, "m", model_spec=ModelSpec(aliases=("gpt-4o", "big")))
    for alias in ("gpt-4o", "big"):
        assert (resolve(registry, alias).asked, resolve(registry, alias).model) == (alias, "m")
        assert registry.ask(HasModel(alias), timeout=ASK)
        assert len(registry.ask(FindPools(alias), timeout=ASK)) == 1
    assert registry.ask(ListModels(Kind.CHAT), timeout=ASK) == ["m"]


def test_a_model_of_that_name_wins_over_an_alias(registry: Address) -> None:
    put(registry, "m", model_spec=ModelSpec(aliases=("n",)))
    put(registry, "n")
    assert resolve(registry, "n").model == "n"
    drop(registry, "n")
    assert resolve(registry, "n").model == "m"


def test_of_two_models_that_claim_an_alias_the_first_that_is_left_has_it(
    registry: Address,
) -> None:
    for model in ("one", "two"):
        put(registry, model, model_spec=ModelSpec(aliases=("x",)))
    assert resolve(registry, "x").model == "one"
    drop(registry, "one")
    assert resolve(registry, "x").model == "two"
    drop(registry, "two")
    assert not registry.ask(HasModel("x"), timeout=ASK)


def test_an_alias_that_is_not_claimed_any_more_is_unknown(registry: Address) -> None:
    put(registry, "m", model_spec=ModelSpec(aliases=("x", "y")))
    put(registry, "m", model_spec=ModelSpec(aliases=("y",)))
    assert resolve(registry, "y").model == "m"
    with pytest.raises(ModelNotFound):
        resolve(registry, "x")


def test_what_says_nothing_of_the_model_leaves_it_as_it_is(registry: Address) -> None:
    put(registry, "m", model_spec=ModelSpec(aliases=("x",), policy=PolicyName.PREFIX))
    put(registry, "m", "2")
    assert resolve(registry, "x").engine.spec.policy is PolicyName.PREFIX


def test_a_new_policy_is_used_from_then_on(registry: Address) -> None:
    put(registry, "m")
    put(registry, "m", "2", ModelSpec(policy=PolicyName.ROUND_ROBIN))
    pool = resolve(registry, "m").engine
    assert pool.spec.policy is PolicyName.ROUND_ROBIN
    assert len(pool) == 2


def test_an_instance_that_drains_does_not_bring_back_what_it_says_of_the_model(
    registry: Address,
) -> None:
    old, new = ModelSpec(aliases=("before",)), ModelSpec(aliases=("after",))
    put(registry, "m", "1", old)
    put(registry, "m", "2", new)
    put(registry, "m", "1", old, draining=True)
    assert resolve(registry, "after").engine.spec == new
    with pytest.raises(ModelNotFound):
        resolve(registry, "before")
    drop(registry, "m", "1")
    assert resolve(registry, "after").model == "m"


def test_what_an_instance_said_of_the_model_goes_with_it(registry: Address) -> None:
    put(registry, "m", "1", ModelSpec(aliases=("x",), policy=PolicyName.PREFIX))
    put(registry, "m", "2", ModelSpec(aliases=("y",)))
    put(registry, "m", "1", ModelSpec(aliases=("x",), policy=PolicyName.PREFIX))
    assert resolve(registry, "x").engine.spec.policy is PolicyName.PREFIX
    drop(registry, "m", "1")
    assert resolve(registry, "y").engine.spec.policy is PolicyName.LEAST_LOADED
    with pytest.raises(ModelNotFound):
        resolve(registry, "x")


def test_the_fallback_answers_for_a_model_whose_last_instance_went(registry: Address) -> None:
    put(registry, "m", model_spec=ModelSpec(fallback="small", aliases=("x",)))
    put(registry, "small")
    assert resolve(registry, "m").model == "m"
    drop(registry, "m")
    assert (resolve(registry, "m").asked, resolve(registry, "m").model) == ("m", "small")
    put(registry, "m")
    assert resolve(registry, "m").model == "m"


def test_the_fallback_answers_while_every_instance_drains(registry: Address) -> None:
    put(registry, "m", model_spec=ModelSpec(fallback="small"))
    put(registry, "m", draining=True)
    with_none = resolve(registry, "m")
    assert with_none.model == "m"
    error = start(with_none.engine).error
    assert isinstance(error, EngineUnavailable)
    assert (error.status, error.retry_after) == (503, 1)
    assert registry.ask(ListModels(Kind.CHAT), timeout=ASK) == ["m"]
    put(registry, "small")
    assert resolve(registry, "m").model == "small"


def test_fallbacks_may_be_chained_and_may_be_aliases(registry: Address) -> None:
    put(registry, "a", model_spec=ModelSpec(fallback="b"))
    put(registry, "b", model_spec=ModelSpec(fallback="tiny"))
    put(registry, "c", model_spec=ModelSpec(aliases=("tiny",)))
    drop(registry, "a")
    assert resolve(registry, "a").model == "b"
    drop(registry, "b")
    assert resolve(registry, "a").model == "c"


def test_fallbacks_in_a_circle_end(registry: Address) -> None:
    for one, other in (("a", "b"), ("b", "a"), ("c", "c")):
        put(registry, one, model_spec=ModelSpec(fallback=other))
    for model in ("a", "b", "c"):
        drop(registry, model)
    for model in ("a", "b", "c"):
        with pytest.raises(ModelNotFound):
            resolve(registry, model)


def test_a_model_that_was_removed_on_purpose_has_no_fallback(registry: Address) -> None:
    put(registry, "m", model_spec=ModelSpec(fallback="small"))
    put(registry, "small")
    registry.ask(RemoveModel(Kind.CHAT, "m"), timeout=ASK)
    with pytest.raises(ModelNotFound):
        resolve(registry, "m")


def test_the_kinds_have_names_of_their_own(registry: Address) -> None:
    put(registry, "m", model_spec=ModelSpec(aliases=("x",)))
    with pytest.raises(ModelNotFound):
        registry.ask(ResolveModel(Kind.COMPLETIONS, "x"), timeout=ASK)


def addressed(asked: str, model: str, request: EngineRequest) -> EngineRequest:
    return ResolvedModel(asked, model, Pool(model)).with_primary_name(request)


def test_a_request_under_the_primary_name_is_passed_on_byte_for_byte() -> None:
    request = chat()
    assert addressed("m", "m", request) is request


def test_a_request_under_an_alias_gets_the_primary_name_and_keeps_the_rest() -> None:
    request = chat("hello", temperature=0.5, unknown={"x": [1]})
    found = addressed("m", "primary", request)
    assert (found.model, found.body["model"]) == ("primary", "primary")
    assert orjson.loads(found.raw) == {**request.body, "model": "primary"}
    assert request.body["model"] == "m"


def test_a_long_request_gets_the_primary_name_without_being_decoded() -> None:
    raw = b'{ "model":"m", "user":"x", "n":1.0 }'
    found = addressed("m", "primary", EngineRequest(Kind.CHAT, "m", True, None, raw))

    assert found.raw == b'{ "model":"primary", "user":"x", "n":1.0 }'
    assert found.parsed is None
    assert found.body["model"] == "primary"


# What was resolved once is remembered, and never believed too long


def test_a_question_is_printable_comparable_and_hashable() -> None:
    question = ResolveModel(Kind.CHAT, "m")
    assert repr(question) == "ResolveModel(kind=<Kind.CHAT: 'chat'>, model='m')"
    assert question == ResolveModel(Kind.CHAT, "m") != ResolveModel(Kind.COMPLETIONS, "m")
    assert len({question, ResolveModel(Kind.CHAT, "m")}) == 1


def test_a_model_that_serves_is_resolved_in_three_calls(registry: Address) -> None:
    put(registry, "m")
    calls: list[str] = []

    def note(frame: Any, event: str, _arg: object) -> None:
        if event == "call":
            calls.append(frame.f_code.co_qualname)

    question = ResolveModel(Kind.CHAT, "m")
    first = registry.ask(question, timeout=ASK)
    sys.setprofile(note)
    try:
        assert registry.ask(question, timeout=ASK) is first
    finally:
        sys.setprofile(None)
    assert calls == ["Address.ask", "CallingThreadMailbox.answer", "RegistryActor.on_receive"]


def test_each_kind_has_its_own_answer(registry: Address) -> None:
    for kind in Kind:
        registry.ask(AddModel(kind, "m", NamedEngine()), timeout=ASK)
    for _ in range(2):
        pools = [registry.ask(ResolveModel(kind, "m"), timeout=ASK).engine for kind in Kind]
        assert [pool.kind for pool in pools] == [*Kind]


def test_a_model_that_comes_takes_its_name_from_an_alias_that_was_resolved(
    registry: Address,
) -> None:
    put(registry, "old", model_spec=ModelSpec(aliases=("m",)))
    assert resolve(registry, "m").model == "old"
    put(registry, "m")
    assert resolve(registry, "m").model == "m"
    drop(registry, "m")
    assert resolve(registry, "m").model == "old"


def test_a_model_that_was_resolved_and_drains_is_passed_over_and_comes_back(
    registry: Address,
) -> None:
    put(registry, "m", model_spec=ModelSpec(fallback="other"))
    put(registry, "other")
    found: list[str] = []
    for draining in (False, True, False):
        put(registry, "m", draining=draining)
        found += [resolve(registry, "m").model, resolve(registry, "m").model]
    assert found == ["m", "m", "other", "other", "m", "m"]


def test_a_model_that_was_resolved_and_comes_back_has_its_new_pool(registry: Address) -> None:
    put(registry, "m")
    old = resolve(registry, "m").engine
    drop(registry, "m")
    with pytest.raises(ModelNotFound):
        resolve(registry, "m")
    put(registry, "m")
    assert resolve(registry, "m").engine is not old


def test_only_names_that_lead_somewhere_are_remembered(registry: Address) -> None:
    """Clients name models: what they invent may not fill the memory."""
    put(registry, "m", model_spec=ModelSpec(aliases=("alias",), fallback="other"))
    for name in ("m", "alias", "ghost", "other"):
        with contextlib.suppress(ModelNotFound):
            resolve(registry, name)
    state = registry.ask(ReadRegistry(), timeout=ASK)
    assert {*state.catalogs[Kind.CHAT].direct} == {"m", "alias"}
    assert not state.catalogs[Kind.COMPLETIONS].direct
