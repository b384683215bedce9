"""Which of the settings that a model's instances declare counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.pool import DEFAULT_MODEL_SPEC, ModelSpec
from actors.registry.catalog import NO_DECLARATIONS, Declarations

A, B, C = (ModelSpec(aliases=(name,)) for name in "abc")


def declared(*declarations: tuple[str, ModelSpec | None, bool]) -> Declarations:
    result = NO_DECLARATIONS
    for instance, spec, draining in declarations:
        result = result.put(instance, spec, draining=draining)
    return result


@pytest.mark.parametrize(
    ("declarations", "expected"),
    [
        ([], DEFAULT_MODEL_SPEC),
        ([("1", A, False)], A),
        ([("1", A, False), ("2", B, False)], B),
        ([("1", A, False), ("2", B, False), ("1", A, False)], A),
        ([("1", A, False), ("2", B, False), ("1", A, True)], B),
        ([("1", A, False), ("2", B, False), ("2", B, True)], A),
        ([("1", A, False), ("2", B, False), ("2", B, True), ("1", A, True)], B),
        ([("1", A, True), ("2", B, True), ("1", A, False)], A),
        ([("1", A, False), ("2", None, False)], A),
        ([("1", A, False), ("2", B, False), ("1", None, False)], A),
        ([("1", None, True)], DEFAULT_MODEL_SPEC),
    ],
)
def test_the_latest_declaration_of_the_serving_instances_counts(
    declarations: list[tuple[str, ModelSpec | None, bool]], expected: ModelSpec
) -> None:
    assert declared(*declarations).spec(DEFAULT_MODEL_SPEC) == expected


def test_a_declaration_goes_with_its_instance_and_an_unknown_instance_changes_nothing() -> None:
    declarations = declared(("1", A, False), ("2", B, False), ("3", C, False))
    assert declarations.drop("3").spec(DEFAULT_MODEL_SPEC) == B
    assert declarations.drop("3").drop("2").spec(DEFAULT_MODEL_SPEC) == A
    assert declarations.drop("stranger") == declarations
    assert declarations.drop("1").drop("2").drop("3") == NO_DECLARATIONS


def test_the_same_declarations_in_another_order_are_different() -> None:
    assert declared(("1", A, False), ("2", B, False)) != declared(("2", B, False), ("1", A, False))


STEPS = st.lists(
    st.tuples(st.sampled_from("123"), st.sampled_from([A, B, C]), st.booleans() | st.none()),
    max_size=20,
)


@given(STEPS)
def test_what_counts_was_declared_by_an_instance_that_is_there_and_serving_if_any_is(
    steps: list[tuple[str, ModelSpec, bool | None]],
) -> None:
    declarations, there = NO_DECLARATIONS, dict[str, tuple[ModelSpec, bool]]()
    for instance, spec, draining in steps:
        if draining is None:
            declarations = declarations.drop(instance)
            there.pop(instance, None)
        else:
            declarations = declarations.put(instance, spec, draining=draining)
            there[instance] = (spec, draining)
    serving = [spec for spec, draining in there.values() if not draining]
    everyone = [spec for spec, _ in there.values()]
    assert len(declarations.items) == len(there)
    assert declarations.spec(DEFAULT_MODEL_SPEC) in (serving or everyone or [DEFAULT_MODEL_SPEC])
