"""Trees that end with their test, and proof that no thread outlives it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors import Child, Supervisor, Tree
from tests.supervision.subjects import WAIT

Grow = Callable[..., Tree]

DESCRIPTORS = Path("/proc/self/fd")


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


@pytest.fixture
def no_descriptor_is_left() -> Iterator[None]:
    """As many file descriptors are open after the test as before."""
    if not DESCRIPTORS.exists():
        pytest.skip("no /proc on this system")
    before = len([*DESCRIPTORS.iterdir()])
    yield
    assert len([*DESCRIPTORS.iterdir()]) == before
