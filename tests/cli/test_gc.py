"""A full collection looks at what is new; at everything only once memory has grown, and seldom."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from actors.cli.runner import GROWTH, MIN_SECONDS_APART, GcFreezer
from actors.testing import FakeClock


class Memory:
    """How much memory is in use, as a test says."""

    def __init__(self) -> None:
        self.blocks = 1000
        self.clock = FakeClock()

    def __call__(self) -> int:
        return self.blocks


class Node:
    """Points at itself: only a collection can end it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def memory() -> Iterator[Memory]:
    gc.freeze()
    made = Memory()
    settled = GcFreezer(made, made.clock.monotonic)
    gc.callbacks.append(settled)
    yield made
    gc.callbacks.remove(settled)
    gc.freeze()  # as the whole suite has it


def old_garbage() -> weakref.ref[Node]:
    """A cycle that outlived a full collection before it came to nothing."""
    node = Node()
    gc.collect()
    return weakref.ref(node)


@pytest.mark.usefixtures("memory")
def test_what_outlives_a_full_collection_is_not_looked_at_again() -> None:
    kept = [Node() for _ in range(1000)]
    assert sum(type(each) is Node for each in gc.get_objects()) == len(kept)
    gc.collect()
    assert not any(type(each) is Node for each in gc.get_objects())


@pytest.mark.usefixtures("memory")
def test_what_is_new_is_found_by_any_full_collection() -> None:
    found = weakref.ref(Node())
    assert found() is not None
    gc.collect()
    assert found() is None


def test_old_garbage_is_found_once_memory_has_grown(memory: Memory) -> None:
    found = old_garbage()
    memory.clock.advance(MIN_SECONDS_APART)
    gc.collect()
    assert found() is not None

    memory.blocks = int(memory.blocks * GROWTH) - 1
    gc.collect()
    assert found() is not None

    memory.blocks += 1
    gc.collect()
    assert found() is None


def test_there_are_minutes_between_two_looks_at_everything(memory: Memory) -> None:
    found = old_garbage()
    memory.blocks *= 10
    memory.clock.advance(MIN_SECONDS_APART - 1)
    gc.collect()
    assert found() is not None

    memory.clock.advance(1)
    gc.collect()
    assert found() is None


def test_after_a_look_at_everything_memory_must_grow_again(memory: Memory) -> None:
    memory.blocks *= 2
    memory.clock.advance(MIN_SECONDS_APART)
    gc.collect()
    found = old_garbage()
    memory.clock.advance(MIN_SECONDS_APART)
    gc.collect()
    assert found() is not None

    memory.blocks *= 2
    gc.collect()
    assert found() is None


def test_smaller_collections_change_nothing(memory: Memory) -> None:
    memory.blocks *= 2
    memory.clock.advance(MIN_SECONDS_APART)
    frozen = gc.get_freeze_count()
    gc.collect(0)
    gc.collect(1)
    assert gc.get_freeze_count() == frozen
