"""The report: small, well-formed, and nothing of a scenario can break out of it."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

from tests.faults.catalogue import SCENARIOS
from tests.faults.evidence import Evidence, Mark, Request
from tests.faults.invariants import COMMON
from tests.faults.judge import Verdict, judge, skipped
from tests.faults.report.page import page
from tests.faults.report.timeline import bins_of, timeline
from tests.faults.report.words import as_json, as_markdown, one_line, summed_up

BUSY = Evidence(
    injected_at=1.0,
    healed_at=31.0,
    ended_at=62.0,
    requests=tuple(
        Request(n / 100, 0.01, "m", "cut" if 1000 < n < 1100 else "ok") for n in range(6200)
    ),
    marks=tuple(Mark(n / 10, "restart a") for n in range(500)),
)
NASTY = replace(SCENARIOS[0], title="<script>alert(1)</script> | & more", figures=())


def verdicts() -> list[Verdict]:
    figures = {SCENARIOS[0].figures[0].name: 1.5}
    return [
        Verdict(SCENARIOS[0], "held", figures=figures, evidence=BUSY),
        Verdict(NASTY, "broke", ("<b>bad</b>",), evidence=BUSY),
        skipped(SCENARIOS[1], "no permission"),
    ]


def test_a_timeline_is_well_formed_and_has_every_part() -> None:
    root = ET.fromstring(timeline(BUSY))  # noqa: S314  # our own, made above
    classes = [each.get("class") for each in root.iter()]
    assert {"s", "v", "r", "x", "t"} <= set(classes)
    assert "99 failed" in (root.find("{http://www.w3.org/2000/svg}title").text or "")  # type: ignore[union-attr]  # it has one


def test_a_timeline_without_load_says_so() -> None:
    assert "no load" in timeline(replace(BUSY, requests=()))


def test_bins_hold_every_request_once() -> None:
    bins = bins_of(BUSY)
    assert round(sum(bins.right) * bins.width) == 6101
    assert round(sum(bins.wrong) * bins.width) == 99


def test_a_report_of_every_scenario_stays_below_two_megabytes() -> None:
    full = [Verdict(each, "held", evidence=BUSY) for each in SCENARIOS]
    text = page(full, summed_up(full, 1, 900.0, "itself"))
    assert len(text.encode()) < 2_000_000


def test_a_page_escapes_what_it_shows_and_loads_nothing() -> None:
    found = verdicts()
    text = page(found, summed_up(found, 1, 1.0, "itself"))
    assert "<script>" not in text
    assert "&lt;script&gt;" in text
    assert "src=" not in text
    assert "no permission" in text


def test_the_table_has_a_line_for_each_scenario_and_what_broke_below() -> None:
    found = verdicts()
    text = as_markdown(found, summed_up(found, 1, 1.0, "itself"))
    assert sum(line.startswith("| ") for line in text.splitlines()) == 1 + len(found)
    assert "\\|" in text
    assert "## What broke" in text


def test_the_sentence_of_a_common_invariant_is_written_once() -> None:
    found = verdicts()
    text = as_markdown(found, summed_up(found, 1, 1.0, "itself"))
    for letter, each in COMMON.items():
        assert text.count(f"**{letter}** {each.name}") == text.count(each.name) == 1
    assert "| C1, C2, C3" in text


def test_a_row_is_held_only_if_all_its_scenarios_are() -> None:
    found = verdicts()
    summary = summed_up(found, 1, 1.0, "itself")
    assert (summary.held, summary.broke, summary.skipped) == (1, 1, 1)
    assert summary.rows_held == 0


def test_programs_read_the_same_as_json() -> None:
    found = verdicts()
    read = json.loads(as_json(found, summed_up(found, 1, 1.0, "itself")))
    assert [each["outcome"] for each in read["scenarios"]] == ["held", "broke", "skipped"]


def test_one_line_tells_outcome_row_and_figure_or_reason() -> None:
    held, broke, skip = (one_line(each) for each in verdicts())
    assert held.startswith("held")
    assert "1.5" in held
    assert "<b>bad</b>" in broke
    assert "no permission" in skip


def test_what_could_not_be_looked_at_is_told_apart_in_each_report() -> None:
    blind = judge(SCENARIOS[0], BUSY)
    assert blind.unseen
    summary = summed_up([blind], 1, 1.0, "a URL")
    said = f"not seen from here: {blind.unseen[0]}"
    assert f"not seen from here: {blind.unseen[0][:2]}" in as_markdown([blind], summary)
    assert said in page([blind], summary)
    assert json.loads(as_json([blind], summary))["scenarios"][0]["unseen"] == list(blind.unseen)
