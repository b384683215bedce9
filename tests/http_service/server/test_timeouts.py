"""How slow a client may be: the rules, and what a connection's progress does to them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.server.timeouts import (
    ClientTimeouts,
    ConnectionTimes,
    Progress,
    TimeoutReason,
    expired,
)

LIMITS = ClientTimeouts(head=10, body=8, body_bytes=800, reader=20, reader_bytes=1000, idle=60)


@dataclass
class Waiting:
    """ConnectionTimes as they come."""

    head_since: float | None = None
    body_since: float | None = None
    unsent_since: float | None = None
    idle_since: float | None = None


@dataclass
class Request:
    """A request that is being received."""

    headers_finished: bool = False
    body_bytes_received: int = 0


RULES: list[tuple[ConnectionTimes, float, TimeoutReason]] = [
    (Waiting(head_since=0), LIMITS.head, TimeoutReason.HEAD),
    (Waiting(body_since=0), LIMITS.body, TimeoutReason.BODY),
    (Waiting(unsent_since=0), LIMITS.reader, TimeoutReason.READER),
    (Waiting(idle_since=0), LIMITS.idle, TimeoutReason.IDLE),
]


@pytest.mark.parametrize(("facts", "allowed", "reason"), RULES)
def test_each_wait_has_its_own_deadline(
    facts: ConnectionTimes, allowed: float, reason: TimeoutReason
) -> None:
    assert expired(facts, allowed, LIMITS) is None
    assert expired(facts, allowed + 0.1, LIMITS) is reason


def test_who_waits_for_nothing_is_never_overdue() -> None:
    assert expired(Waiting(), 1e9, LIMITS) is None


def test_a_reader_is_dropped_rather_than_told_that_it_wrote_slowly() -> None:
    assert expired(Waiting(head_since=0, unsent_since=0), 1000, LIMITS) is TimeoutReason.READER


def test_who_was_sending_is_told_and_who_was_not_is_just_closed() -> None:
    told = {reason: reason.status for reason in TimeoutReason}

    assert told == {
        TimeoutReason.HEAD: 408,
        TimeoutReason.BODY: 408,
        TimeoutReason.IDLE: None,
        TimeoutReason.READER: None,
    }


def test_a_new_connection_is_idle_until_its_first_byte() -> None:
    progress = Progress(LIMITS, 5)

    assert expired(progress, 65.1, LIMITS) is TimeoutReason.IDLE
    progress.read(60, Request(), busy=False)
    assert expired(progress, 65.1, LIMITS) is None


def test_dripping_does_not_move_the_heads_deadline() -> None:
    progress = Progress(LIMITS, 0)
    for second in range(1, 12):
        progress.read(second, Request(), busy=False)
        assert expired(progress, second, LIMITS) is None

    assert expired(progress, 11.1, LIMITS) is TimeoutReason.HEAD


def test_a_body_at_the_minimum_rate_is_never_overdue() -> None:
    progress = Progress(LIMITS, 0)
    for second in range(1, 1000):
        progress.read(second, Request(True, second * 101), busy=False)
        assert expired(progress, second + 0.9, LIMITS) is None


@given(st.integers(0, 88))
def test_a_body_below_the_minimum_rate_is_overdue_soon(rate: int) -> None:
    progress = Progress(LIMITS, 0)
    ended = None
    for second in range(100):
        progress.read(second, Request(True, second * rate), busy=False)
        if expired(progress, second, LIMITS):
            ended = second
            break

    assert ended is not None
    assert ended <= 2 * LIMITS.body + 2


def test_a_body_that_was_fast_and_stops_is_overdue_as_soon_as_any() -> None:
    progress = Progress(LIMITS, 0)
    progress.read(1, Request(True, 0), busy=False)
    progress.read(2, Request(True, 10_000_000), busy=False)

    assert expired(progress, 10, LIMITS) is None
    assert expired(progress, 10.1, LIMITS) is TimeoutReason.BODY


def test_while_an_answer_is_being_made_nothing_is_the_clients_fault() -> None:
    progress = Progress(LIMITS, 0)
    progress.read(1, Request(), busy=False)
    progress.read(2, None, busy=True)
    assert expired(progress, 1000, LIMITS) is None
    progress.read(1000, Request(), busy=True)
    assert expired(progress, 2000, LIMITS) is None

    progress.read(2000, None, busy=False)
    assert expired(progress, 2060, LIMITS) is None
    assert expired(progress, 2060.1, LIMITS) is TimeoutReason.IDLE


def test_a_half_received_request_gets_its_full_time_after_the_answer_before_it() -> None:
    progress = Progress(LIMITS, 0)
    progress.read(0, Request(), busy=True)
    progress.read(500, Request(), busy=False)

    assert expired(progress, 510, LIMITS) is None
    assert expired(progress, 510.1, LIMITS) is TimeoutReason.HEAD


def test_a_reader_that_takes_nothing_is_overdue() -> None:
    progress = Progress(LIMITS, 0)
    progress.read(0, None, busy=True)
    for second in range(21):
        progress.wrote(second, unsent=5000 + second, sent=700)
        assert expired(progress, second, LIMITS) is None

    assert expired(progress, 20.1, LIMITS) is TimeoutReason.READER


def test_a_reader_that_takes_a_byte_now_and_then_is_overdue_too() -> None:
    progress = Progress(LIMITS, 0)
    progress.read(0, None, busy=True)
    for second in range(21):
        progress.wrote(second, unsent=5000, sent=second)

    assert expired(progress, 20.1, LIMITS) is TimeoutReason.READER


def test_a_slow_reader_that_keeps_up_is_left_alone_although_its_backlog_grows() -> None:
    progress = Progress(LIMITS, 0)
    progress.read(0, None, busy=True)
    for second in range(1000):
        progress.wrote(second, unsent=second * 10, sent=second * 60)
        assert expired(progress, second, LIMITS) is None


def test_who_has_read_everything_starts_anew() -> None:
    progress = Progress(LIMITS, 0)
    progress.read(0, None, busy=True)
    progress.wrote(0, unsent=10, sent=0)
    progress.wrote(15, unsent=0, sent=10)
    assert expired(progress, 1000, LIMITS) is None
    progress.wrote(1000, unsent=10, sent=10)
    assert expired(progress, 1020, LIMITS) is None
    assert expired(progress, 1020.1, LIMITS) is TimeoutReason.READER


STAMPS = {
    "actors/testing/faults/process.py",
    "discovery/actor.py",
    "actors/logs.py",
    "http/http_service/telemetry/metrics.py",
    "http/http_service/api/api_keys.py",
    "http/http_service/streaming/unary_exchange.py",
    "http/http_service/api/model_list.py",
    "http/http_service/streaming/exchange.py",
    "http/http_service/admin/event_log.py",
    "http/http_service/admin/recorder.py",
    "http/http_service/admin/request_log.py",
}
"""Who may read the wall clock: they say when something was, and measure nothing with it."""


def test_no_duration_is_measured_with_a_clock_that_may_jump() -> None:
    root = Path(__file__).parents[3]
    sources = [
        each for part in ("actors", "discovery", "http") for each in (root / part).rglob("*.py")
    ]
    found = {
        str(each.relative_to(root))
        for each in sources
        if re.search(r"\btime\.time\(|\bimport time as|from time import time\b", each.read_text())
    }
    assert found == STAMPS
