"""The registry actor in its tree: one owner, serialised messages, nothing lost by a crash."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from actors.engines.contract import Kind
from actors.engines.pool import Pool
from actors.registry import (
    AddModel,
    DropInstance,
    GetEngine,
    HasModel,
    ListModels,
    ModelAlreadyExists,
    ModelNotFound,
    PutInstance,
    ReadRegistry,
    RegistryActor,
    RemoveModel,
    UnknownMessage,
)
from actors.supervision import Address, Child, Supervisor
from tests.registry.engines import NamedEngine

ASK = 5.0  # seconds; far above any answer, so that a hang is a failure and not a wait


@pytest.fixture
def registry() -> Iterator[Address]:
    tree = Supervisor.start(
        Child("registry", RegistryActor.start, hand_over=True), intensity=1000, name="test"
    )
    yield tree.address("registry")
    tree.stop(timeout=ASK)


def names(registry: Address, kind: Kind = Kind.CHAT) -> list[str]:
    return registry.ask(ListModels(kind), timeout=ASK)


@pytest.mark.parametrize("kind", list(Kind))
def test_an_added_engine_is_the_one_that_is_got(registry: Address, kind: Kind) -> None:
    engine = NamedEngine()
    registry.ask(AddModel(kind, "m", engine), timeout=ASK)
    assert registry.ask(GetEngine(kind, "m"), timeout=ASK) is engine


def test_the_two_kinds_are_separate_maps(registry: Address) -> None:
    registry.ask(AddModel(Kind.CHAT, "m", NamedEngine()), timeout=ASK)
    with pytest.raises(ModelNotFound):
        registry.ask(GetEngine(Kind.COMPLETIONS, "m"), timeout=ASK)
    assert names(registry, Kind.COMPLETIONS) == []


@pytest.mark.parametrize("kind", list(Kind))
def test_a_model_of_any_kind_is_had(registry: Address, kind: Kind) -> None:
    assert registry.ask(HasModel("m"), timeout=ASK) is False
    registry.ask(AddModel(kind, "m", NamedEngine()), timeout=ASK)
    assert registry.ask(HasModel("m"), timeout=ASK) is True


def test_errors_of_the_maps_reach_the_asker_and_the_actor_lives_on(registry: Address) -> None:
    registry.ask(AddModel(Kind.CHAT, "m", NamedEngine()), timeout=ASK)
    epoch = registry.epoch
    with pytest.raises(ModelAlreadyExists):
        registry.ask(AddModel(Kind.CHAT, "m", NamedEngine()), timeout=ASK)
    with pytest.raises(ModelNotFound):
        registry.ask(RemoveModel(Kind.CHAT, "ghost"), timeout=ASK)
    assert registry.epoch == epoch
    assert names(registry) == ["m"]


def test_the_revision_grows_by_one_with_each_change_and_with_nothing_else(
    registry: Address,
) -> None:
    before = registry.ask(ReadRegistry(), timeout=ASK).revision
    registry.ask(AddModel(Kind.CHAT, "m", NamedEngine()), timeout=ASK)
    registry.ask(GetEngine(Kind.CHAT, "m"), timeout=ASK)
    registry.ask(DropInstance(Kind.CHAT, "m", "unknown"), timeout=ASK)
    assert registry.ask(ReadRegistry(), timeout=ASK).revision == before + 1


def test_a_state_that_was_read_never_changes(registry: Address) -> None:
    state = registry.ask(ReadRegistry(), timeout=ASK)
    registry.ask(AddModel(Kind.CHAT, "later", NamedEngine()), timeout=ASK)
    assert state.chat.list() == []


def test_the_first_instance_adds_the_model_and_the_last_takes_it_away(registry: Address) -> None:
    registry.ask(PutInstance(Kind.CHAT, "m", "1", NamedEngine("one")), timeout=ASK)
    registry.ask(PutInstance(Kind.CHAT, "m", "2", NamedEngine("two")), timeout=ASK)
    registry.ask(DropInstance(Kind.CHAT, "m", "1"), timeout=ASK)
    assert names(registry) == ["m"]
    registry.ask(DropInstance(Kind.CHAT, "m", "2"), timeout=ASK)
    assert names(registry) == []


def test_an_instance_announced_again_replaces_its_engine(registry: Address) -> None:
    for name in ("old", "new"):
        registry.ask(PutInstance(Kind.CHAT, "m", "1", NamedEngine(name)), timeout=ASK)
    pool = registry.ask(GetEngine(Kind.CHAT, "m"), timeout=ASK)
    assert isinstance(pool, Pool)
    assert len(pool) == 1


def test_an_announced_instance_joins_an_engine_added_in_process(registry: Address) -> None:
    registry.ask(AddModel(Kind.CHAT, "m", NamedEngine("static")), timeout=ASK)
    registry.ask(PutInstance(Kind.CHAT, "m", "1", NamedEngine("remote")), timeout=ASK)
    registry.ask(DropInstance(Kind.CHAT, "m", "1"), timeout=ASK)
    assert names(registry) == ["m"]


def test_dropping_what_was_never_announced_changes_nothing(registry: Address) -> None:
    registry.ask(AddModel(Kind.CHAT, "static", NamedEngine()), timeout=ASK)
    registry.ask(DropInstance(Kind.CHAT, "static", "1"), timeout=ASK)
    registry.ask(DropInstance(Kind.CHAT, "ghost", "1"), timeout=ASK)
    assert names(registry) == ["static"]


def test_a_crash_by_an_unknown_message_loses_no_model(registry: Address) -> None:
    engine = NamedEngine()
    registry.ask(AddModel(Kind.CHAT, "m", engine), timeout=ASK)
    revision = registry.ask(ReadRegistry(), timeout=ASK).revision
    epoch = registry.epoch
    registry.tell("poison")
    assert registry.ask(GetEngine(Kind.CHAT, "m"), timeout=ASK) is engine
    registry.ask(AddModel(Kind.CHAT, "n", NamedEngine()), timeout=ASK)
    assert registry.epoch == epoch + 1
    assert registry.ask(ReadRegistry(), timeout=ASK).revision == revision + 1


def test_an_unknown_message_that_is_asked_crashes_it_too_and_the_asker_is_told(
    registry: Address,
) -> None:
    with pytest.raises(UnknownMessage, match="knows no message str"):
        registry.ask("poison", timeout=ASK)
    assert names(registry) == []


def test_no_ask_fails_while_the_registry_is_killed_again_and_again(registry: Address) -> None:
    engine = NamedEngine()
    registry.ask(AddModel(Kind.CHAT, "m", engine), timeout=ASK)
    done = threading.Event()
    failures: list[BaseException] = []
    answers = [0] * 8

    def loop(index: int) -> None:
        while not done.is_set():
            try:
                assert registry.ask(GetEngine(Kind.CHAT, "m"), timeout=ASK) is engine
            except BaseException as error:  # noqa: BLE001  # any failure at all is the finding
                failures.append(error)
                return
            answers[index] += 1

    threads = [threading.Thread(target=loop, args=(index,)) for index in range(len(answers))]
    for thread in threads:
        thread.start()
    for _ in range(100):
        registry.tell("poison")
        assert registry.ask(GetEngine(Kind.CHAT, "m"), timeout=ASK) is engine
    done.set()
    for thread in threads:
        thread.join(ASK)
    assert failures == []
    assert all(answers)
    assert registry.epoch > 100
