"""The bell wakes a poller: readable from the first ring until it is hushed."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from actors.eventloop.bell import Bell


@pytest.fixture(params=["eventfd", "pipe"])
def bell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bell]:
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("this system has no eventfd")
    made = Bell()
    yield made
    made.close()


def rings(bell: Bell) -> bool:
    return bool(select.select([bell.fd], [], [], 0)[0])


def test_a_bell_rings_until_it_is_hushed(bell: Bell) -> None:
    assert not rings(bell)
    bell.ring()
    bell.ring()
    assert rings(bell)
    bell.hush()
    assert not rings(bell)


def test_hushing_a_silent_bell_does_no_harm(bell: Bell) -> None:
    bell.hush()
    assert not rings(bell)


def test_ringing_without_end_never_blocks(bell: Bell) -> None:
    for _ in range(10_000):
        bell.ring()
    assert rings(bell)


def test_a_closed_bell_may_be_rung_and_closed_again(bell: Bell) -> None:
    bell.close()
    bell.ring()
    bell.close()
