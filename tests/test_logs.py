"""Log lines: one line an event, for people or for machines, with everything that was said."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from actors.logs import configure_logging


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
