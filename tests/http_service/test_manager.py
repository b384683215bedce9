"""The seed's ``ModelManager`` and ``DeploymentState``: two faces of the registry actor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from actors.engines.contract import Engine, Kind
from actors.engines.echo import EchoEngine
from actors.registry.catalog import ModelAlreadyExists, ModelNotFound
from actors.supervision import NotDelivered
from http_service import ConfigError, HttpService, HttpServiceConfig, Metrics, ModelManager
from tests.http_service.conftest import LOCAL
from tests.http_service.engines import CounterEngine


@pytest.fixture
def manager() -> Iterator[ModelManager]:
    with ModelManager() as made:
        yield made


def test_models_are_added_listed_and_removed_by_kind(manager: ModelManager) -> None:
    manager.add_chat_completions_model("chat", EchoEngine())
    manager.add_chat_completions_model("both", EchoEngine())
    manager.add_completions_model("both", EchoEngine())

    assert manager.list_chat_completions_models() == ["chat", "both"]
    assert manager.list_completions_models() == ["both"]
    assert manager.has_model_any("chat")
    assert manager.has_model_any("both")
    assert not manager.has_model_any("none")

    manager.remove_chat_completions_model("both")
    assert manager.list_chat_completions_models() == ["chat"]
    assert manager.has_model_any("both")
    manager.remove_completions_model("both")
    assert not manager.has_model_any("both")


def test_a_model_is_added_once(manager: ModelManager) -> None:
    first = EchoEngine()
    manager.add_chat_completions_model("m", first)

    with pytest.raises(ModelAlreadyExists):
        manager.add_chat_completions_model("m", EchoEngine())
    assert manager.state().get_chat_completions_engine("m") is first


def test_a_model_that_is_not_there_cannot_be_removed(manager: ModelManager) -> None:
    with pytest.raises(ModelNotFound):
        manager.remove_chat_completions_model("m")
    with pytest.raises(ModelNotFound):
        manager.remove_completions_model("m")


def test_an_engine_of_any_shape_is_taken_and_found_in_push_shape(manager: ModelManager) -> None:
    manager.add_chat_completions_model("generator", CounterEngine())

    assert isinstance(manager.state().get_chat_completions_engine("generator"), Engine)
    with pytest.raises(TypeError, match="not an engine"):
        manager.add_chat_completions_model("nonsense", object())  # type: ignore[arg-type]  # that is the mistake


def test_the_state_shows_both_maps_and_the_managers_metrics(manager: ModelManager) -> None:
    manager.add_chat_completions_model("c", EchoEngine())
    manager.add_completions_model("t", EchoEngine())
    state = manager.state()

    assert state.chat_completion_engines.default == "c"
    assert state.completion_engines.list() == ["t"]
    assert state.metrics is manager.metrics()
    assert state.list_models() == ["c", "t"]
    assert isinstance(state.get_completions_engine("t"), EchoEngine)
    with pytest.raises(ModelNotFound):
        state.get_completions_engine("c")
    with pytest.raises(ModelNotFound):
        state.get_engine(Kind.CHAT, "t")


def test_a_managers_own_registry_stops_with_it() -> None:
    manager = ModelManager(ask_timeout=0.05)
    manager.close()
    manager.close()

    with pytest.raises(NotDelivered):
        manager.list_completions_models()


def test_nobody_probes_the_instances_of_a_closed_manager() -> None:
    manager = ModelManager()
    manager.add_chat_completions_model("m", EchoEngine())
    pool = manager.state().find_pools("m")[0]
    manager.close()

    assert pool.probes.closed


def test_a_shared_manager_outlives_its_services(manager: ModelManager) -> None:
    with HttpService(LOCAL, manager) as service:
        assert service.model_manager() is manager

    assert manager.list_completions_models() == []


def test_a_prefix_that_is_not_the_managers_is_refused(manager: ModelManager) -> None:
    with pytest.raises(ConfigError, match=r"metrics=Metrics\('mine'\)"):
        HttpService(HttpServiceConfig(metrics_prefix="mine"), manager)


def test_the_prefix_reaches_the_metrics() -> None:
    with HttpService(replace(LOCAL, metrics_prefix="mine")) as service:
        assert service.model_manager().metrics().prefix == "mine"
    with ModelManager(metrics=Metrics("mine")) as manager:
        HttpService(replace(LOCAL, metrics_prefix="mine"), manager).close()
