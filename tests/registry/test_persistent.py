"""The persistent map: a dict whose changes leave the old one as it was, and copy little of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from actors.registry.persistent import PersistentMap

CHANGES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 40) | st.text(max_size=3), st.integers()), max_size=200
)


@given(CHANGES)
def test_it_is_a_dict_whose_older_versions_stay(changes: list[tuple[bool, Any, int]]) -> None:
    expected: dict[Any, int] = {}
    made: PersistentMap[Any, int] = PersistentMap()
    versions: list[tuple[PersistentMap[Any, int], dict[Any, int]]] = []
    for adds, key, value in changes:
        versions.append((made, dict(expected)))
        if adds:
            expected[key] = value
            made = made.with_item(key, value)
        else:
            expected.pop(key, None)
            made = made.without(key)
    for version, content in [*versions, (made, expected)]:
        assert dict(version.items()) == content
        assert sorted(version.values()) == sorted(content.values())
        assert len(version) == len(content)
        assert all(version.get(key) == value and key in version for key, value in content.items())


def test_what_is_not_there_is_none_and_removing_it_changes_nothing() -> None:
    made = PersistentMap[str, int]().with_item("a", 1)
    assert made.get("b") is None
    assert "b" not in made
    assert made.without("b") is made
    assert repr(made) == "PersistentMap({'a': 1})"


def test_a_change_of_ten_thousand_entries_copies_about_two_hundred() -> None:
    made: PersistentMap[int, int] = PersistentMap()
    for number in range(10_000):
        made = made.with_item(number, number)
    changed = made.with_item(10_000, 0)
    shards, after = made._shards, changed._shards  # pyright: ignore[reportPrivateUsage]  # what is shared
    copied = [new for old, new in zip(shards, after, strict=True) if old is not new]
    assert len(copied) == 1
    assert len(shards) + len(copied[0]) < 400
