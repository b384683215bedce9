"""The report as text: one line a scenario, a Markdown table, and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.invariants import COMMON
from tests.faults.judge import Verdict
from tests.faults.scenario import Figure

__all__ = ["Summary", "as_json", "as_markdown", "figure_text", "one_line", "summed_up"]


_INTRODUCTION: Final = (
    "Written by `make faults`; how to read and extend it: "
    "[fault injection](guides/fault-injection.md)."
)


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run in numbers; ``line`` says how it was done."""

    held: int
    broke: int
    skipped: int
    rows: int
    rows_held: int
    line: str


def summed_up(verdicts: Sequence[Verdict], seed: int, seconds: float, target: str) -> Summary:
    """Count outcomes, and rows of which every scenario held."""
    outcomes = [each.outcome for each in verdicts]
    rows: dict[int, bool] = {}
    for each in verdicts:
        row = each.scenario.row
        rows[row] = rows.get(row, True) and each.outcome == "held"
    line = f"{len(verdicts)} scenarios in {seconds:.0f} s, seed {seed}, against {target}"
    return Summary(
        outcomes.count("held"),
        outcomes.count("broke"),
        outcomes.count("skipped"),
        len(rows),
        sum(rows.values()),
        line,
    )


def figure_text(figure: Figure, verdict: Verdict) -> str:
    """A figure with its unit, and no more digits than it deserves."""
    value = verdict.figures[figure.name]
    digits = 0 if value == int(value) or abs(value) >= 100 else 1 if abs(value) >= 1 else 3
    return f"{value:.{digits}f} {figure.unit}".strip()


def one_line(verdict: Verdict) -> str:
    """As it is printed while the suite runs."""
    scenario = verdict.scenario
    figures = ", ".join(
        f"{f.name} {figure_text(f, verdict)}" for f in scenario.figures if f.name in verdict.figures
    )
    told = verdict.reason or figures
    broken = "".join(f"\n           {each}" for each in verdict.broken)
    return f"{verdict.outcome:7} {scenario.row:3} {scenario.key:24} {told}{broken}"


def as_markdown(verdicts: Sequence[Verdict], summary: Summary) -> str:
    """The table of the catalogue's rows, for ``docs/faults.md``."""
    counts = f"{summary.held} held, {summary.broke} broke, {summary.skipped} skipped"
    rows = f"{summary.rows_held} of {summary.rows}"
    lines = [
        "# Callboard under faults",
        "",
        _INTRODUCTION,
        "",
        f"{summary.line}: {counts}; {rows} rows of the catalogue held throughout.",
        "",
        "What holds in most rows has a name of its own:",
        "",
        *(f"- **{letter}** {each.name}" for letter, each in COMMON.items()),
        "",
        "| row | what goes wrong | outcome | figures | invariants |",
        "|---|---|---|---|---|",
    ]
    for verdict in verdicts:
        scenario = verdict.scenario
        figures = ", ".join(
            f"{f.name} {figure_text(f, verdict)}"
            for f in scenario.figures
            if f.name in verdict.figures
        )
        names = _short("; ".join(verdict.promises))
        lines.append(
            f"| {scenario.row} | {_cell(scenario.title)} | {verdict.outcome} | "
            f"{_cell(figures or verdict.reason)} | {_cell(names)} |"
        )
    broken = [each for each in verdicts if each.broken]
    if broken:
        lines += ["", "## What broke", ""]
        lines += [
            f"- **{each.scenario.key}** (row {each.scenario.row}): {_cell(how)}"
            for each in broken
            for how in each.broken
        ]
    return "\n".join(lines) + "\n"


def as_json(verdicts: Sequence[Verdict], summary: Summary) -> str:
    """Everything but the single requests."""
    found: list[dict[str, Any]] = [
        {
            "row": each.scenario.row,
            "key": each.scenario.key,
            "title": each.scenario.title,
            "outcome": each.outcome,
            "broken": list(each.broken),
            "unseen": list(each.unseen),
            "reason": each.reason,
            "figures": dict(each.figures),
            "requests": len(each.evidence.requests) if each.evidence else 0,
            "failed": len(each.evidence.failed()) if each.evidence else 0,
            "marks": [[round(m.at, 3), m.what] for m in each.evidence.marks[:200]]
            if each.evidence
            else [],
        }
        for each in verdicts
    ]
    return json.dumps({"summary": summary.line, "scenarios": found}, indent=1) + "\n"


def _short(promises: str) -> str:
    """Without the sentences of the common invariants: their letters say it."""
    for letter, each in COMMON.items():
        promises = promises.replace(f"{letter} {each.name}", letter)
    return re.sub(r"(?<=C\d); (?=C\d(?:;|$))", ", ", promises)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
