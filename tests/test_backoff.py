"""The one bound of every wait that grows with failures."""

from __future__ import annotations

from actors.backoff import doubling


def test_the_first_wait_is_the_first_one_and_each_failure_doubles_it() -> None:
    assert [doubling(0.5, 100.0, failures) for failures in range(4)] == [0.5, 1.0, 2.0, 4.0]


def test_no_wait_is_longer_than_the_cap() -> None:
    assert doubling(1.0, 30.0, 5) == 30.0


def test_any_number_of_failures_is_a_number_of_seconds() -> None:
    assert doubling(1e-9, 30.0, 10**9) == 30.0
