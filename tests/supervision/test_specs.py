"""Wrong specifications and flags are refused when they are made, naming value and child."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pykka
import pytest

from actors import AutoShutdown, Backoff, Child, InvalidSpec, Restart, Supervisor
from tests.supervision.subjects import Threaded

NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", ""),
        ("id", 7),
        ("id", "a/b"),
        ("start", None),
        ("restart", "permanent"),
        ("shutdown", -1),
        ("shutdown", NAN),
        ("shutdown", "5"),
        ("start_within", 0),
        ("start_within", None),
        ("hang_after", 0),
        ("hang_after", INFINITE),
        ("backoff", 1.0),
        ("significant", 1),
        ("hand_over", None),
    ],
)
def test_a_wrong_key_of_a_child_is_named_with_its_value(key: str, value: object) -> None:
    keys: dict[str, Any] = {"id": "a", "start": Threaded.start, key: value}
    with pytest.raises(InvalidSpec) as caught:
        Child(**keys)
    assert key in str(caught.value)
    assert repr(value) in str(caught.value)


def test_a_permanent_child_cannot_be_significant() -> None:
    with pytest.raises(InvalidSpec, match="'a'"):
        Child("a", Threaded.start, significant=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("strategy", "one_for_one"),
        ("intensity", -1),
        ("intensity", 1.5),
        ("intensity", True),
        ("period", 0),
        ("period", NAN),
        ("auto_shutdown", "never"),
        ("max_abandoned", -1),
    ],
)
def test_a_wrong_flag_is_named_with_its_value_and_nothing_is_started(
    key: str, value: object
) -> None:
    flags: dict[str, Any] = {key: value}
    makers: list[Callable[..., object]] = [Supervisor.start, partial(Supervisor.child, "s")]
    for make in makers:
        with pytest.raises(InvalidSpec) as caught:
            make(**flags)
        assert key in str(caught.value)
        assert repr(value) in str(caught.value)


def never() -> pykka.ActorRef[Any]:
    """A start that must not be called."""
    pytest.fail("started")


def test_children_that_cannot_live_together_are_refused_before_any_start() -> None:
    child = Child("a", never)
    with pytest.raises(InvalidSpec, match="'a'"):
        Supervisor.start(child, child)
    significant = Child("b", never, restart=Restart.TRANSIENT, significant=True)
    with pytest.raises(InvalidSpec, match=r"'b'.*auto_shutdown"):
        Supervisor.child("s", significant, auto_shutdown=AutoShutdown.NEVER)


@pytest.mark.parametrize(
    ("failures", "delay"), [(0, 0.5), (1, 1.0), (2, 2.0), (4, 5.0), (9999, 5.0)]
)
def test_a_backoff_doubles_up_to_its_cap(failures: int, delay: float) -> None:
    backoff = Backoff(first=0.5, cap=5.0, jitter=0.0)
    assert backoff.delay(failures, random.Random(1)) == delay


def test_jitter_only_lengthens_and_by_no_more_than_its_share() -> None:
    backoff, rng = Backoff(first=1.0, cap=1.0, jitter=0.5), random.Random(1)
    delays = [backoff.delay(0, rng) for _ in range(200)]
    assert 1.0 <= min(delays) < max(delays) <= 1.5


def test_without_a_first_delay_there_is_none() -> None:
    assert Backoff().delay(5, random.Random(1)) == 0.0


@pytest.mark.parametrize("key", ["first", "cap", "jitter", "reset_after"])
@pytest.mark.parametrize("value", [-1.0, NAN, INFINITE, None, True])
def test_a_wrong_backoff_is_refused(key: str, value: object) -> None:
    keys: dict[str, Any] = {key: value}
    with pytest.raises(InvalidSpec, match=key):
        Backoff(**keys)
