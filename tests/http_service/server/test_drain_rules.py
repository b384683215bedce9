"""The rules of a drain, on a clock of our own and without sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.shutdown import ABORT_GRACE
from http_service.errors import Draining
from http_service.server.server import IDLE_GRACE, Drain, Verdict, verdict
from http_service.streaming.exchange import Exchange, InflightRequests


@pytest.mark.parametrize(
    ("idle", "since", "expected"),
    [
        (60.0, 0.0, Verdict.CLOSE),  # at once: nobody has used it for long
        (0.0, 0.0, Verdict.KEEP),
        (IDLE_GRACE, 0.1, Verdict.KEEP),
        (IDLE_GRACE + 0.01, 0.1, Verdict.CLOSE),
        (0.0, 5.0, Verdict.KEEP),  # it was answered just now
        (None, IDLE_GRACE + 0.01, Verdict.KEEP),
        (None, 10.0, Verdict.KEEP),
        (None, 10.0 + ABORT_GRACE, Verdict.KEEP),
        (None, 10.01 + ABORT_GRACE, Verdict.ABORT),
        (0.0, 10.01 + ABORT_GRACE, Verdict.ABORT),
    ],
)
def test_the_table_of_verdicts(idle: float | None, since: float, expected: Verdict) -> None:
    assert verdict(idle=idle, since=since, timeout=10.0) is expected


@given(idle=st.none() | st.floats(0, 100), timeout=st.floats(0, 100), since=st.floats(0, 200))
def test_a_busy_connection_is_never_closed_before_its_time(
    idle: float | None, timeout: float, since: float
) -> None:
    judged = verdict(idle=idle, since=since, timeout=timeout)

    if since <= timeout + ABORT_GRACE:
        assert judged is not Verdict.ABORT
        assert idle is not None or judged is Verdict.KEEP


@dataclass(eq=False)
class Told:
    """A request that remembers with what it was cut."""

    errors: list[BaseException]
    request_id: str = "id"
    model: str = "m"

    def terminate(self, error: BaseException) -> None:
        """Be ended."""
        self.errors.append(error)


@dataclass
class FakeConnection:
    """A connection that remembers what was done to it."""

    idle_since: float | None
    closed: bool = False
    cancelled: bool = False

    def close_if_silent(self) -> None:
        """Be closed."""
        self.closed = True

    def cancel(self) -> None:
        """Be aborted."""
        self.cancelled = True


class Clock:
    """A clock that stands still until it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_drain_goes_from_grace_over_deadline_to_abort() -> None:
    clock, inflight, told = Clock(), InflightRequests(), list[BaseException]()
    inflight.running.add(cast("Exchange", Told(told)))
    drain = Drain(inflight, 5.0, clock)
    idle, used, busy = FakeConnection(-60.0), FakeConnection(0.0), FakeConnection(None)

    drain.step([idle, used, busy])
    assert idle.closed
    assert not used.closed

    clock.now = 0.3
    drain.step([used, busy])
    assert used.closed
    assert not busy.closed

    clock.now = 5.1
    drain.step([busy])
    assert [type(each) for each in told] == [Draining]
    assert not busy.cancelled

    clock.now = 5.5
    drain.step([busy])
    assert len(told) == 1, "told once"

    clock.now = 6.1
    drain.step([busy])
    assert busy.cancelled
    assert not drain.finished


def test_a_drain_is_finished_when_nothing_is_open_or_its_time_is_over() -> None:
    clock = Clock()
    drain = Drain(InflightRequests(), 5.0, clock)
    drain.step([FakeConnection(None)])
    assert not drain.finished
    drain.step([])
    assert drain.finished

    stuck = Drain(InflightRequests(), 5.0, clock)
    clock.now = 7.1
    stuck.step([FakeConnection(None)])
    assert stuck.finished
