"""The waker wakes a poller: readable from the first wake until it is reset."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from actors.eventloop.poller import Waker


@pytest.fixture(params=["eventfd", "pipe"])
def waker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waker]:
    if request.param == "pipe":
        monkeypatch.delattr(os, "eventfd", raising=False)
    elif not hasattr(os, "eventfd"):
        pytest.skip("this system has no eventfd")
    made = Waker()
    yield made
    made.close()


def is_awake(waker: Waker) -> bool:
    return bool(select.select([waker.fd], [], [], 0)[0])


def test_a_waker_is_readable_until_it_is_reset(waker: Waker) -> None:
    assert not is_awake(waker)
    waker.wake()
    waker.wake()
    assert is_awake(waker)
    waker.reset()
    assert not is_awake(waker)


def test_resetting_an_idle_waker_does_no_harm(waker: Waker) -> None:
    waker.reset()
    assert not is_awake(waker)


def test_waking_without_end_never_blocks(waker: Waker) -> None:
    for _ in range(10_000):
        waker.wake()
    assert is_awake(waker)


def test_a_closed_waker_may_be_woken_and_closed_again(waker: Waker) -> None:
    waker.close()
    waker.wake()
    waker.close()
