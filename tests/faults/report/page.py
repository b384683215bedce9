"""The page: every scenario as a card with its picture, one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from tests.faults.judge import Verdict
from tests.faults.report.timeline import timeline
from tests.faults.report.words import Summary, figure_text

__all__ = ["page"]

STYLE: Final = """
:root{--ink:#1b1f24;--soft:#5b6570;--line:#d9dee3;--paper:#fff;--back:#f5f6f8;--right:#8fc3a6;
--bad:#c9372c;--held:#1f7a4d;--warn:#8a6100;--win:#fbeecb;--tick:#3b5bdb}
@media(prefers-color-scheme:dark){:root{--ink:#e7eaee;--soft:#a4adb8;--line:#39414a;--paper:#1d2228;
--back:#14171b;--right:#3f7f5d;--bad:#ff7a6e;--held:#6fd3a0;--warn:#e3b341;--win:#4a3d18;
--tick:#9db4ff}}
*{box-sizing:border-box}body{margin:0;background:var(--back);color:var(--ink);
font:15px/1.45 system-ui,sans-serif}main{max-width:1400px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0 0 4px}h2{font-size:19px;margin:34px 0 10px}p{margin:4px 0}
.soft{color:var(--soft)}.sum{display:flex;gap:28px;flex-wrap:wrap;margin:18px 0 8px}
.sum b{display:block;font-size:30px;line-height:1.1}.held{color:var(--held)}.broke{color:var(--bad)}
.skipped{color:var(--warn)}.grid{display:grid;gap:14px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr))}
.card,.card.held,.card.skipped{color:var(--ink)}
.card{background:var(--paper);border:1px solid var(--line);border-radius:8px;padding:12px 14px;
display:flex;flex-direction:column;gap:6px;min-width:0}
.card.broke{border-color:var(--bad);color:inherit}
.card h3{font-size:15px;margin:0;display:flex;gap:8px;justify-content:space-between}
.card h3 span:last-child{font-weight:600}.fig{display:flex;gap:4px 18px;flex-wrap:wrap;
font-size:14px}.fig b{font-variant-numeric:tabular-nums}
ul{margin:2px 0;padding-left:18px;font-size:13px;
overflow-wrap:anywhere}svg{width:100%;height:auto;display:block}
.a{font:11px system-ui,sans-serif;fill:var(--soft)}.a.m{text-anchor:middle}.a.e{text-anchor:end}
.a.f{fill:var(--warn)}.a.x{fill:var(--bad);text-anchor:middle}
.v{stroke:var(--warn);stroke-dasharray:3 3}
.s{fill:var(--warn)}.r{fill:var(--right)}
rect.x{fill:var(--bad)}.t{fill:var(--tick)}.g{stroke:var(--line)}
.key{display:flex;gap:16px;flex-wrap:wrap;font-size:13px;color:var(--soft);margin-top:8px}
.key i{display:inline-block;width:12px;height:12px;border-radius:2px;margin-right:5px;
vertical-align:-1px}summary{cursor:pointer;font-size:13px;color:var(--soft)}
"""

KEY: Final = (
    ("var(--right)", "answered right, requests a second"),
    ("var(--bad)", "not answered right"),
    ("var(--warn)", "the fault is on"),
    ("var(--tick)", "a restart"),
)


def page(verdicts: Sequence[Verdict], summary: Summary) -> str:
    """The whole page; broken ones first within their family."""
    families: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        families.setdefault(verdict.scenario.family, []).append(verdict)
    counts = "".join(
        f'<div class="{name}"><b>{number}</b>{name}</div>'
        for name, number in (
            ("held", summary.held),
            ("broke", summary.broke),
            ("skipped", summary.skipped),
        )
    )
    rows = f"<div><b>{summary.rows_held} of {summary.rows}</b>rows of the catalogue held</div>"
    key = "".join(
        f'<span><i style="background:{colour}"></i>{escape(what)}</span>' for colour, what in KEY
    )
    body = "".join(
        f"<h2>{escape(family.capitalize())}</h2><div class=grid>"
        + "".join(_card(each) for each in group)
        + "</div>"
        for family, group in families.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Callboard under faults</title><style>{STYLE}</style></head><body><main>"
        "<h1>Callboard under faults</h1>"
        f'<p class="soft">{escape(summary.line)}</p>'
        f'<div class="sum">{counts}{rows}</div><div class="key">{key}</div>{body}'
        "</main></body></html>\n"
    )


def _counted(verdict: Verdict) -> str:
    unseen = len(verdict.unseen)
    judged = f"{len(verdict.scenario.invariants) - unseen} invariants"
    return f"{judged}, {unseen} not seen from here" if unseen else judged


def _card(verdict: Verdict) -> str:
    scenario = verdict.scenario
    picture = "" if verdict.evidence is None else timeline(verdict.evidence)
    figures = "".join(
        f"<span>{escape(f.name)} <b>{escape(figure_text(f, verdict))}</b></span>"
        for f in scenario.figures
        if f.name in verdict.figures
    )
    broken = "".join(f"<li>{escape(each)}</li>" for each in verdict.broken)
    promises = "".join(f"<li>{escape(each)}</li>" for each in verdict.promises)
    reason = f'<p class="skipped">{escape(verdict.reason)}</p>' if verdict.reason else ""
    return (
        f'<article class="card {verdict.outcome}" id="{escape(scenario.key)}">'
        f"<h3><span>{scenario.row}. {escape(scenario.title)}</span>"
        f'<span class="{verdict.outcome}">{verdict.outcome}</span></h3>'
        f"{picture}<div class=fig>{figures}</div>{reason}"
        + (f'<ul class="broke">{broken}</ul>' if broken else "")
        + f"<details><summary>{_counted(verdict)}</summary><ul>{promises}</ul>"
        "</details></article>"
    )
