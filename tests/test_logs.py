"""Log lines: one line an event, for people or for machines, with everything that was said.

Logging never waits for who reads the log, and loses nothing without saying so.

A crowd's trouble is a few lines a minute, and the log says that there was more.
"""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from actors.logs import (
    BASE_BYTES,
    MINUTE,
    BackgroundHandler,
    LinesPerMinute,
    configure_logging,
    size_of,
)
from actors.testing import FakeClock


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the root logger as pytest set it up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def logged(log_format: str, *, failing: bool = False) -> str:
    stream = io.StringIO()
    configure_logging(log_format, stream)
    log = logging.getLogger("actors.test")
    if failing:
        try:
            int("no such thing")
        except ValueError:
            log.exception("it failed")
    else:
        log.warning("a %s happened", "thing", extra={"model": "m", "count": 3})
    return stream.getvalue()


def test_a_line_for_people_holds_message_level_logger_and_extras() -> None:
    line = logged("text")
    for part in ("a thing happened", "warning", "actors.test", "model=m", "count=3"):
        assert part in line
    assert line.count("\n") == 1


def test_a_line_for_machines_is_one_json_object() -> None:
    line = logged("json")
    assert line.count("\n") == 1
    record = json.loads(line)
    assert record["message"] == "a thing happened"
    assert record["level"] == "warning"
    assert record["logger"] == "actors.test"
    assert (record["model"], record["count"]) == ("m", 3)
    assert record["timestamp"].endswith("Z")


def test_a_traceback_for_machines_stays_in_its_line() -> None:
    line = logged("json", failing=True)
    assert line.count("\n") == 1
    assert "no such thing" in json.dumps(json.loads(line)["exception"])


def test_a_traceback_for_people_is_pythons_own() -> None:
    text = logged("text", failing=True)
    assert "Traceback (most recent call last)" in text
    assert "no such thing" in text


@pytest.mark.parametrize("name", ["waitress.queue", "pykka"])
def test_libraries_that_cry_wolf_are_heard_only_from_errors_on(name: str) -> None:
    stream = io.StringIO()
    configure_logging("text", stream)
    logging.getLogger(name).warning("nothing to see")
    logging.getLogger(name).error("something to see")
    assert "nothing" not in stream.getvalue()
    assert "something" in stream.getvalue()


def test_configuring_twice_does_not_double_the_lines() -> None:
    configure_logging("text", io.StringIO())
    assert logged("text").count("a thing happened") == 1


def test_the_logs_need_no_rich_and_hide_it_from_nobody() -> None:
    """It is installed beside our tests, and 12 MiB of memory in a service that never uses it."""
    code = """
import sys, actors.logs
assert not [name for name in sys.modules if name.partition(".")[0] == "rich"]
import rich.console
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_rich_that_is_imported_already_stays() -> None:
    code = "import rich, sys, actors.logs; assert sys.modules['rich'] is rich"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


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
