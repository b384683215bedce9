"""Logging never waits for who reads the log, and loses nothing without saying so."""

from __future__ import annotations

import logging
import threading

import pytest

from actors.logs import BASE_BYTES, BackgroundHandler, size_of

DEADLINE = 10.0


class Gated(logging.Handler):
    """A handler whose reader is stuck until the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.entered.set()
        assert self.gate.wait(DEADLINE)
        self.records.append(record)


def record(number: int) -> logging.LogRecord:
    return logging.LogRecord("x", logging.INFO, "", 0, "line %d", (number,), None)


@pytest.fixture
def gated() -> Gated:
    return Gated()


def test_records_are_written_in_order_on_another_thread(gated: Gated) -> None:
    gated.gate.set()
    handler = BackgroundHandler(gated)
    for number in range(100):
        handler.handle(record(number))

    assert handler.writer.drain(DEADLINE)
    assert [each.getMessage() for each in gated.records] == [f"line {n}" for n in range(100)]


def test_who_logs_does_not_wait_for_a_reader_that_is_stuck(gated: Gated) -> None:
    handler = BackgroundHandler(gated)
    handler.handle(record(0))
    assert gated.entered.wait(DEADLINE)
    for number in range(1, 10):
        handler.handle(record(number))

    assert not handler.writer.drain(0), "nothing could be written yet"
    gated.gate.set()
    assert handler.writer.drain(DEADLINE)
    assert len(gated.records) == 10


def test_what_is_too_much_is_dropped_and_told(gated: Gated) -> None:
    handler = BackgroundHandler(gated, max_items=5)
    handler.handle(record(0))
    assert gated.entered.wait(DEADLINE)
    for number in range(1, 20):
        handler.handle(record(number))
    assert handler.writer.dropped == 14
    gated.gate.set()
    assert handler.writer.drain(DEADLINE)

    assert len(gated.records) == 7
    assert gated.records[-1].getMessage() == "log lines were dropped"
    assert gated.records[-1].__dict__["count"] == 14


def test_lines_that_wait_are_bounded_in_bytes_too(gated: Gated) -> None:
    handler = BackgroundHandler(gated, max_bytes=100_000)
    handler.handle(record(0))
    assert gated.entered.wait(DEADLINE)
    for number in range(1, 20):
        long = record(number)
        long.__dict__["path"] = "x" * 30_000
        handler.handle(long)
    assert handler.writer.dropped == 19 - 3
    gated.gate.set()
    assert handler.writer.drain(DEADLINE)
    handler.handle(record(20))
    assert handler.writer.drain(DEADLINE)
    assert gated.records[-1].getMessage() == "line 20", "what was written counts no more"


@pytest.mark.parametrize("value", ["x" * 5_000, b"x" * 5_000, ["x" * 2_500, "x" * 2_500]])
def test_the_size_of_a_line_is_that_of_its_texts(value: object) -> None:
    long = record(0)
    long.__dict__["extra"] = value
    assert 5_000 <= size_of(long) <= 5_000 + 4 * BASE_BYTES
