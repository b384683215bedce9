"""The page and the chart are made from figures alone, and hide neither noise nor failure."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from tests.bench.peers.cases import CASES
from tests.bench.peers.chart import Panel, chart
from tests.bench.peers.gateways import FLOOR, OURS, Gateway, Start
from tests.bench.peers.report import CHART, REFERENCE, Machine, page, python_words, ranking
from tests.bench.peers.rounds import Figures, Run, scaled
from tests.support.stats import Quantiles

MACHINE = Machine(
    "A CPU", 2, 24.0, "Linux 6", "Python 3.11.7 (not of the system)", 0.1, "2026-01-02 03:04 UTC"
)
UNARY = CASES[0]


def gateway(name: str, version: str = "1.0") -> Gateway:
    return Gateway(name, version, "Python", lambda: Start(1, ()))


GATEWAYS = [gateway(FLOOR, "-"), gateway(OURS), gateway(REFERENCE), gateway("broken")]


def cell(name: str, case: str, number: int, cpu: float, failed: int = 0) -> Figures:
    reasons = {"60 of 64 tokens": failed} if failed else {}
    done = 0 if name == "broken" else 100
    return Figures(
        name, case, number, cpu, Quantiles(1.5, 12.25), 1234.0, done, reasons, 17.0, 33.0
    )


def run_of(
    ours: tuple[float, float] = (200.0, 210.0),
    rivals: tuple[float, float] = (300.0, 300.0),
    failed: int = 0,
) -> Run:
    figures = [
        cell(name, case.name, number, cpu, failed if name != FLOOR else 0)
        for case in CASES
        for name, costs in (
            (FLOOR, (40.0, 40.0)),
            (OURS, ours),
            (REFERENCE, rivals),
            ("broken", (1.0, 1.0)),
        )
        for number, cpu in enumerate(costs)
    ]
    memory = {each.name: [50.0, 51.0] for each in GATEWAYS}
    return Run(figures, memory, absent={"broken": "did not start"}, seconds=90.0)


def text_of(run: Run) -> str:
    return page(run, GATEWAYS, MACHINE, command="make bench-peers", rounds=2, scale=0.5)


def test_the_cheapest_comes_first_and_who_never_answered_does_not_come_at_all() -> None:
    assert ranking(run_of(), UNARY) == [(FLOOR, 40.0), (OURS, 205.0), (REFERENCE, 300.0)]


def test_a_row_has_the_median_with_quartiles_and_the_ratio_to_the_leanest_rival() -> None:
    cells = "**205** [200 to 210] | **0.68** [0.67 to 0.70] | 1.5 | 12.2 | 1,234 | 0"
    assert text_of(run_of()).count(f"| Callboard 1.0 | Python | {cells} |") == len(CASES)


def test_a_ratio_is_taken_within_each_round() -> None:
    run = run_of(ours=(150.0, 600.0), rivals=(300.0, 1200.0))
    assert run.ratios(OURS, UNARY.name, REFERENCE) == [0.5, 0.5]


def test_a_round_without_an_answer_of_the_other_has_no_ratio() -> None:
    run = run_of()
    figures = [each for each in run.figures if (each.gateway, each.round) != (REFERENCE, 1)]
    assert Run(figures, run.memory).ratios(OURS, UNARY.name, REFERENCE) == [200.0 / 300.0]


def test_failures_are_counted_over_the_rounds_with_their_reason() -> None:
    assert "| 6: 60 of 64 tokens |" in text_of(run_of(failed=3))


def test_the_page_states_machine_command_and_what_the_harness_costs() -> None:
    text = text_of(run_of())
    assert MACHINE.words in text
    assert text.count("make bench-peers") == 2
    assert "UNARY 33 + 17 µs per request" in text
    assert f"]({CHART})" in text
    assert f"{UNARY.requests // 2} requests a slice" in text


def test_who_could_not_be_measured_is_named_with_the_reason() -> None:
    assert "Not, or not wholly, measured: broken: did not start." in text_of(run_of())


def test_without_the_leanest_rival_the_ratio_is_to_the_last_gateway() -> None:
    whole = run_of()
    run = Run([each for each in whole.figures if each.gateway != REFERENCE], whole.memory)
    assert "| gateway | written in | CPU | by Callboard |" in text_of(run)
    assert "| **1.00** [1.00 to 1.00] |" in text_of(run)


def test_a_scale_changes_requests_but_never_below_one_a_client() -> None:
    assert scaled(UNARY, 1.0) == UNARY.requests
    assert scaled(UNARY, 0.0) == UNARY.connections


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request_says_how_long_it_is_and_what_is_expected(case: object) -> None:
    chosen = next(each for each in CASES if each is case)
    head, _, body = chosen.request.payload.partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert chosen.request.marks == chosen.script.tokens


def bars(text: str) -> list[tuple[str, float]]:
    root = ET.fromstring(text)  # noqa: S314  # our own
    found = root.findall("{http://www.w3.org/2000/svg}rect")
    return [(each.attrib["class"], float(each.attrib["width"])) for each in found]


def test_a_bar_is_as_long_as_its_value_and_ours_stands_out() -> None:
    panel = Panel("a <case>", "request", [(FLOOR, 50.0), (OURS, 100.0), ("rival & co", 200.0)])
    text = chart([panel, panel], ours=OURS, floor=FLOOR, caption="c")
    (floor, short), (ours, half), (other, full) = bars(text)[:3]
    assert (floor, ours, other) == ("bar floor", "bar ours", "bar")
    assert [short / full, half / full] == pytest.approx([0.25, 0.5])
    assert len(bars(text)) == 6


def test_a_chart_of_nothing_is_still_a_picture() -> None:
    assert bars(chart([Panel("t", "u", [])], ours=OURS, floor=FLOOR, caption="c")) == []


@pytest.mark.parametrize(
    ("prefix", "words"),
    [
        ("/usr", "Python 3.11.2 (of the system)"),
        ("/opt/python", "Python 3.11.2 (not of the system)"),
    ],
)
def test_the_interpreter_is_told_for_it_makes_a_difference(prefix: str, words: str) -> None:
    assert python_words("3.11.2", prefix) == words
