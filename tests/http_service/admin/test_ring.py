"""The ring: bounded, numbered, and read from any place."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.admin.ring import Ring


class Item(NamedTuple):
    sequence: int
    text: str


def ring_of(count: int, size: int = 5) -> Ring[str, Item]:
    ring: Ring[str, Item] = Ring(size, Item)
    for number in range(1, count + 1):
        ring.inbox.append(f"item {number}")
        ring.take()
    return ring


@pytest.mark.parametrize(
    ("after", "limit", "expected", "next_"),
    [
        (None, 2, [7, 8], 8),
        (None, 100, [4, 5, 6, 7, 8], 8),
        (0, 2, [4, 5], 5),
        (5, 2, [6, 7], 7),
        (8, 2, [], 8),
        (9, 2, [7, 8], 8),
    ],
)
def test_a_reader_goes_on_after_what_it_has(
    after: int | None, limit: int, expected: list[int], next_: int
) -> None:
    found, following = ring_of(8).after(after, limit)
    assert ([each.sequence for each in found], following) == (expected, next_)


def test_an_empty_ring_has_nothing() -> None:
    assert ring_of(0).after(None, 10) == ([], 0)


def test_an_inbox_that_nobody_takes_from_is_bounded() -> None:
    ring = ring_of(0)
    ring.inbox.extend(f"{number}" for number in range(100))
    ring.take()
    assert [each.text for each in ring.all()] == ["95", "96", "97", "98", "99"]


@given(st.integers(0, 30), st.integers(1, 10), st.integers(1, 10))
def test_pages_hold_everything_that_is_kept_once(count: int, size: int, limit: int) -> None:
    ring = ring_of(count, size)
    seen: list[int] = []
    after = 0
    while (page := ring.after(after, limit))[0]:
        seen += [each.sequence for each in page[0]]
        after = page[1]
    assert seen == [*range(max(count - size, 0) + 1, count + 1)]
