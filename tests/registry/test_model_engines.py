"""The reference API's ``ModelEngines``: by example, then against a model of it."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
)

from actors.registry import ModelAlreadyExists, ModelEngines, ModelNotFound
from tests.registry.engines import NamedEngine


def filled(*names: str) -> ModelEngines:
    engines = ModelEngines()
    for name in names:
        engines.add(name, NamedEngine(name))
    return engines


def test_a_new_mapping_is_empty_and_has_no_default() -> None:
    engines = ModelEngines()
    assert engines.list() == []
    assert engines.default is None
    assert len(engines) == 0


def test_the_first_model_added_is_the_default() -> None:
    assert filled("a", "b").default == "a"


def test_an_added_model_is_found_by_its_name() -> None:
    engine = NamedEngine()
    engines = ModelEngines()
    engines.add("meta/llama", engine)
    assert engines.get("meta/llama") is engine
    assert engines.contains("meta/llama")
    assert "meta/llama" in engines


def test_an_unknown_model_is_none_and_not_contained() -> None:
    assert filled("a").get("b") is None
    assert not filled("a").contains("b")


def test_names_are_case_sensitive() -> None:
    assert not filled("llama").contains("Llama")


def test_adding_a_model_twice_is_refused_and_keeps_the_first_engine() -> None:
    engines = filled("a")
    first = engines.get("a")
    with pytest.raises(ModelAlreadyExists, match="'a' is registered already") as raised:
        engines.add("a", NamedEngine("second"))
    assert raised.value.model == "a"
    assert engines.get("a") is first


def test_removing_an_unknown_model_is_refused_by_name() -> None:
    with pytest.raises(ModelNotFound, match="'ghost' is not registered") as raised:
        filled("a").remove("ghost")
    assert raised.value.model == "ghost"


def test_a_removed_default_is_replaced_by_the_oldest_model_left() -> None:
    engines = filled("a", "b", "c")
    engines.remove("a")
    assert engines.default == "b"


def test_removing_another_model_keeps_the_default() -> None:
    engines = filled("a", "b")
    engines.remove("b")
    assert engines.default == "a"


def test_removing_the_last_model_leaves_no_default() -> None:
    engines = filled("a")
    engines.remove("a")
    assert engines.default is None


def test_models_are_listed_in_the_order_they_were_added() -> None:
    assert filled("b", "a", "c").list() == ["b", "a", "c"]


def test_a_copy_does_not_see_later_changes_nor_the_other_way_round() -> None:
    original = filled("a", "b")
    copy = original.copy()
    original.remove("a")
    copy.add("c", NamedEngine())
    assert original.list() == ["b"]
    assert copy.list() == ["a", "b", "c"]
    assert copy.default == "a"


def test_it_prints_its_models_and_default() -> None:
    assert repr(filled("a", "b")) == "ModelEngines(a, b; default='a')"
    assert repr(ModelEngines()) == "ModelEngines(none; default=None)"


class ModelEnginesMachine(RuleBasedStateMachine):
    """Any sequence of calls behaves as an ordered dict and the default rule say."""

    names = st.sampled_from(["a", "b", "c", "d/e"])

    def __init__(self) -> None:
        super().__init__()
        self.engines = ModelEngines()
        self.expected: dict[str, NamedEngine] = {}
        self.default: str | None = None

    @rule(name=names)
    def add(self, name: str) -> None:
        engine = NamedEngine(name)
        if name in self.expected:
            with pytest.raises(ModelAlreadyExists):
                self.engines.add(name, engine)
            return
        self.engines.add(name, engine)
        self.expected[name] = engine
        self.default = self.default or name

    @rule(name=names)
    def remove(self, name: str) -> None:
        if name not in self.expected:
            with pytest.raises(ModelNotFound):
                self.engines.remove(name)
            return
        self.engines.remove(name)
        del self.expected[name]
        if self.default == name:
            self.default = next(iter(self.expected), None)

    @rule()
    def copy(self) -> None:
        self.engines = self.engines.copy()

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.engines.list() == list(self.expected)
        assert self.engines.default == self.default
        assert all(self.engines.get(name) is each for name, each in self.expected.items())


TestModelEnginesMachine = ModelEnginesMachine.TestCase
