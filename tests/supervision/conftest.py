"""Trees that end with their test, and proof that no thread outlives it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors import Child, Supervisor, Tree
from tests.supervision.subjects import WAIT

Grow = Callable[..., Tree]


@pytest.fixture
def grow() -> Iterator[Grow]:
    """``Supervisor.start`` whose trees are stopped at the end of the test."""
    trees: list[Tree] = []

    def start(*children: Child, **flags: Any) -> Tree:
        flags.setdefault("intensity", 1000)
        tree = Supervisor.start(*children, **flags)
        trees.append(tree)
        return tree

    yield start
    for tree in trees:
        tree.stop(timeout=WAIT)


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """Every thread that the test started has ended a moment after it."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(WAIT)
        assert not thread.is_alive(), thread
