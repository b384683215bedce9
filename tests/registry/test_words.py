"""Which of the things that a model's instances say of it counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.pool import PLAIN, ModelSpec
from actors.registry.words import SILENCE, Words

A, B, C = (ModelSpec(aliases=(name,)) for name in "abc")


def said(*words: tuple[str, ModelSpec | None, bool]) -> Words:
    result = SILENCE
    for instance, spec, draining in words:
        result = result.put(instance, spec, draining=draining)
    return result


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], PLAIN),
        ([("1", A, False)], A),
        ([("1", A, False), ("2", B, False)], B),
        ([("1", A, False), ("2", B, False), ("1", A, False)], A),
        ([("1", A, False), ("2", B, False), ("1", A, True)], B),
        ([("1", A, False), ("2", B, False), ("2", B, True)], A),
        ([("1", A, False), ("2", B, False), ("2", B, True), ("1", A, True)], B),
        ([("1", A, True), ("2", B, True), ("1", A, False)], A),
        ([("1", A, False), ("2", None, False)], A),
        ([("1", A, False), ("2", B, False), ("1", None, False)], A),
        ([("1", None, True)], PLAIN),
    ],
)
def test_the_last_word_of_those_that_serve_counts(
    words: list[tuple[str, ModelSpec | None, bool]], expected: ModelSpec
) -> None:
    assert said(*words).spec(PLAIN) == expected


def test_who_goes_takes_its_word_along_and_who_never_spoke_changes_nothing() -> None:
    words = said(("1", A, False), ("2", B, False), ("3", C, False))
    assert words.drop("3").spec(PLAIN) == B
    assert words.drop("3").drop("2").spec(PLAIN) == A
    assert words.drop("stranger") == words
    assert words.drop("1").drop("2").drop("3") == SILENCE


def test_the_same_words_in_another_order_are_other_words() -> None:
    assert said(("1", A, False), ("2", B, False)) != said(("2", B, False), ("1", A, False))


STEPS = st.lists(
    st.tuples(st.sampled_from("123"), st.sampled_from([A, B, C]), st.booleans() | st.none()),
    max_size=20,
)


@given(STEPS)
def test_some_instance_that_is_there_said_what_counts_and_one_that_serves_if_any_does(
    steps: list[tuple[str, ModelSpec, bool | None]],
) -> None:
    words, there = SILENCE, dict[str, tuple[ModelSpec, bool]]()
    for instance, spec, draining in steps:
        if draining is None:
            words = words.drop(instance)
            there.pop(instance, None)
        else:
            words = words.put(instance, spec, draining=draining)
            there[instance] = (spec, draining)
    serving = [spec for spec, draining in there.values() if not draining]
    everyone = [spec for spec, _ in there.values()]
    assert len(words.said) == len(there)
    assert words.spec(PLAIN) in (serving or everyone or [PLAIN])
