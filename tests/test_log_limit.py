"""A crowd's trouble is a few lines a minute, and the log says that there was more."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from actors.logs import MINUTE, LinesPerMinute
from actors.testing import FakeClock


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def log(clock: FakeClock, kept: Kept) -> Iterator[logging.Logger]:
    logger = logging.Logger("crowd")  # noqa: LOG001  # no other test may get it
    logger.addFilter(LinesPerMinute(3, clock.monotonic))
    logger.addHandler(kept)
    yield logger
    logger.removeHandler(kept)


def test_ten_thousand_lines_become_a_few_and_one_that_says_so(
    log: logging.Logger, kept: Kept
) -> None:
    for number in range(10_000):
        log.warning("instance %s ejected", number)
    assert kept.lines == [
        "instance 0 ejected",
        "instance 1 ejected",
        "instance 2 ejected",
        "more lines like the last are left out for a minute: instance %s ejected",
    ]


def test_the_next_minute_begins_with_how_many_were_left_out(
    log: logging.Logger, kept: Kept, clock: FakeClock
) -> None:
    for _ in range(10):
        log.info("gone")
    clock.advance(MINUTE)
    log.info("gone")
    log.info("gone")
    assert kept.lines[4:] == ["gone", "gone"]
    assert [getattr(record, "left_out", None) for record in kept.records[4:]] == [7, None]


def test_each_kind_of_line_has_a_bound_of_its_own(log: logging.Logger, kept: Kept) -> None:
    for _ in range(5):
        log.info("ejected")
        log.info("readmitted")
    assert (kept.lines.count("ejected"), kept.lines.count("readmitted")) == (3, 3)


def test_a_slow_trickle_is_written_whole(log: logging.Logger, kept: Kept, clock: FakeClock) -> None:
    for _ in range(50):
        log.info("ejected")
        clock.advance(MINUTE / 2)
    assert kept.lines == ["ejected"] * 50
