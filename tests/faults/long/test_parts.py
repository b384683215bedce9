"""The small parts of the shows: verdicts, slopes, shares, the picture, the command line."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.evidence import Request
from tests.faults.long import command
from tests.faults.long.balance import worst_share
from tests.faults.long.killed_workers import verdict
from tests.faults.long.measures import between, failures, milliseconds, slope
from tests.faults.long.plot import plot
from tests.faults.long.report import Report, Settings

TOKEN = 'data: {"choices": [{"delta": {"content": "a"}, "finish_reason": null}]}'
LAST = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}'
ERROR = 'data: {"error": {"message": "m", "type": "t", "param": null, "code": "c"}}'
DONE = "data: [DONE]"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([TOKEN, "", LAST, "", DONE], "ok"),
        ([": a comment", TOKEN, LAST, DONE], "ok"),
        ([TOKEN, ERROR, DONE], "error event"),
        ([ERROR, DONE], "wrong: an error event before any token"),
        ([TOKEN, LAST], "wrong: no [DONE] at the end"),
        ([TOKEN, ERROR], "wrong: no [DONE] at the end"),
        ([TOKEN, DONE], "wrong: no finish_reason"),
        ([], "wrong: no [DONE] at the end"),
    ],
)
def test_a_stream_is_whole_or_says_that_it_is_not(lines: list[str], expected: str) -> None:
    assert verdict(lines) == expected


REQUESTS = [
    Request(0.5, 0.010, "m", "ok"),
    Request(1.0, 0.020, "m", "status 502"),
    Request(1.5, 0.030, "m", "cut"),
    Request(2.0, 0.040, "m", "cut"),
]


def test_failures_are_counted_by_outcome() -> None:
    assert failures(REQUESTS) == {"status 502": 1, "cut": 2}
    assert not failures(REQUESTS[:1])


def test_a_span_has_its_begin_and_not_its_end() -> None:
    assert between(REQUESTS, 1.0, 2.0) == REQUESTS[1:3]


def test_times_are_told_in_milliseconds() -> None:
    assert milliseconds(REQUESTS) == pytest.approx(40)
    assert milliseconds(REQUESTS, 0.5) == pytest.approx(20)
    assert math.isnan(milliseconds([]))


@given(rise=st.floats(-100, 100), start=st.floats(-100, 100), count=st.integers(2, 20))
def test_the_slope_of_a_straight_line_is_its_rise(rise: float, start: float, count: int) -> None:
    points = [(float(x), start + rise * x) for x in range(count)]
    assert slope(points) == pytest.approx(rise, abs=1e-6)


def test_one_point_has_no_slope_and_neither_has_an_upright_line() -> None:
    assert slope([(1.0, 2.0)]) == 0
    assert slope([(1.0, 2.0), (1.0, 5.0)]) == 0


@pytest.mark.parametrize(
    ("seen", "weights", "expected"),
    [
        ([10, 10], [1.0, 1.0], 0.0),
        ([12, 8], [1.0, 1.0], 0.2),
        ([10, 30], [1.0, 3.0], 0.0),
        ([20, 20], [1.0, 3.0], 1.0),
        ([0, 0], [1.0, 1.0], 1.0),
    ],
)
def test_the_worst_share_is_relative_to_what_the_weight_says(
    seen: list[int], weights: list[float], expected: float
) -> None:
    assert worst_share(seen, weights) == pytest.approx(expected)


def test_a_flat_line_is_drawn_flat_and_a_steep_one_from_left_to_right() -> None:
    def places(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        root = ET.fromstring(plot(points, title="a < b"))  # noqa: S314  # our own
        line = root.find("{http://www.w3.org/2000/svg}polyline")
        assert line is not None
        pairs = [each.split(",") for each in line.attrib["points"].split()]
        return [(float(x), float(y)) for x, y in pairs]

    flat = places([(0, 5), (10, 5)])
    assert flat[0][1] == flat[1][1]
    steep = places([(0, 1), (10, 5)])
    assert steep[0][0] < steep[1][0]
    assert steep[0][1] > steep[1][1]
    assert places([]) == []


def test_a_report_without_a_promise_or_with_a_broken_one_fails() -> None:
    lines: list[str] = []
    report = Report(lines.append)
    assert report.exit_code == 1
    report.promise("it holds", held=True)
    assert report.exit_code == 0
    assert report.figure("p99", 12.5, "ms") == 12.5
    assert report.figures == {"p99": 12.5}
    report.promise("it breaks", held=False)
    assert report.exit_code == 1
    assert report.broken == ["it breaks"]
    assert "BROKEN it breaks" in lines[-1]


def test_the_command_runs_a_show_with_what_it_was_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[Settings] = []

    def good(report: Report, settings: Settings) -> None:
        told.append(settings)
        report.promise("it holds", held=True)

    def late(report: Report, settings: Settings) -> None:
        raise AssertionError("not within 5 s: it is ejected")

    monkeypatch.setattr(command, "SHOWS", {"good": (good, 7.0, "g"), "late": (late, 1.0, "l")})
    assert command.main(["good"]) == 0
    assert command.main(["good", "--seconds", "3", "--seed", "4", "--requests", "5"]) == 0
    assert told == [Settings(7.0, 1, 1_000_000), Settings(3.0, 4, 5)]
    assert command.main(["late"]) == 1
    assert command.main(["all"]) == 1
    assert "BROKEN the show ends: not within 5 s: it is ejected" in capsys.readouterr().out


def test_help_names_every_show(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in command.SHOWS)
