"""The delays between restarts, on a clock that moves only when told to.

The one bound of every wait that grows with failures is here too.
"""

from __future__ import annotations

import pytest

from actors import Backoff, Child, ChildRestarting, TreeEvent
from actors.supervision.spec import doubling
from actors.testing import FakeClock
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT, Threaded


def test_the_first_wait_is_the_first_one_and_each_failure_doubles_it() -> None:
    assert [doubling(0.5, 100.0, failures) for failures in range(4)] == [0.5, 1.0, 2.0, 4.0]


def test_no_wait_is_longer_than_the_cap() -> None:
    assert doubling(1.0, 30.0, 5) == 30.0


def test_any_number_of_failures_is_a_number_of_seconds() -> None:
    assert doubling(1e-9, 30.0, 10**9) == 30.0


BACKOFF = Backoff(first=1.0, cap=8.0, jitter=0.0, reset_after=5.0)


class StartsOnce(Threaded):
    """Comes up the first time, and never again."""

    def on_start(self) -> None:
        super().on_start()
        if self.address.epoch:
            raise RuntimeError("not this time")


def delays_of(events: list[TreeEvent]) -> list[float]:
    return [event.delay for event in events if isinstance(event, ChildRestarting)]


def test_starts_that_keep_failing_wait_longer_and_longer_up_to_the_cap(grow: Grow) -> None:
    clock, events = FakeClock(), list[TreeEvent]()
    tree = grow(Child("a", StartsOnce.start, backoff=BACKOFF), intensity=100, clock=clock)
    tree.on_event(events.append)
    tree.address("a").tell(("raise", RuntimeError()))
    for expected in (1.0, 2.0, 4.0, 8.0, 8.0, 8.0):
        clock.wait_for_timers(1)
        assert delays_of(events)[-1] == expected
        clock.advance(expected)


@pytest.mark.parametrize(("up_for", "second"), [(4.9, 2.0), (5.0, 1.0)])
def test_the_count_begins_anew_after_a_quiet_time_up(
    grow: Grow, up_for: float, second: float
) -> None:
    clock, events = FakeClock(), list[TreeEvent]()
    tree = grow(Child("a", Threaded.start, backoff=BACKOFF), intensity=100, clock=clock)
    tree.on_event(events.append)
    address = tree.address("a")
    address.tell(("raise", RuntimeError()))
    clock.wait_for_timers(1)
    clock.advance(1.0)
    assert address.wait_up(WAIT)
    clock.advance(up_for)
    address.tell(("raise", RuntimeError()))
    clock.wait_for_timers(1)
    assert delays_of(events) == [1.0, second]
