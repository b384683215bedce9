"""The chart: a panel a case, a bar a gateway, drawn as SVG without any library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

__all__ = ["Panel", "chart"]

WIDTH: Final = 760
LABEL: Final = 190
"""Pixels for the names, left of the bars."""
VALUE: Final = 90
"""Pixels for the number, right of the longest bar."""
ROW: Final = 24
TITLE: Final = 44
GAP: Final = 18

_STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.bar { fill: #9aa4b2 } .ours { fill: #2f6fde } .floor { fill: #d5dae1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .bar { fill: #6e7681 } .floor { fill: #3d444d } .ours { fill: #4c8dff }
}"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One case: ``bars`` are names and values, drawn in their order, on a scale from zero."""

    title: str
    unit: str
    bars: Sequence[tuple[str, float]]


def chart(panels: Sequence[Panel], *, ours: str, floor: str, caption: str) -> str:
    """An SVG document; ``ours`` stands out, ``floor`` stands back."""
    height = GAP + sum(TITLE + ROW * len(panel.bars) + GAP for panel in panels)
    size = f'width="{WIDTH}" viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
        f"<title>{escape(caption)}</title>",
        f"<style>{_STYLE}</style>",
    ]
    top = GAP
    for panel in panels:
        lines += _panel(panel, top, ours, floor)
        top += TITLE + ROW * len(panel.bars) + GAP
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(panel: Panel, top: int, ours: str, floor: str) -> list[str]:
    heading = f"{panel.title}: CPU µs per {panel.unit}"
    lines = [f'<text class="title" x="8" y="{top + 22}">{escape(heading)}</text>']
    most = max((value for _, value in panel.bars), default=0.0) or 1.0
    for row, (name, value) in enumerate(panel.bars):
        kind = {ours: "bar ours", floor: "bar floor"}.get(name, "bar")
        lines += _bar(name, value, value / most, kind, top + TITLE + ROW * row)
    return lines


def _bar(name: str, value: float, share: float, kind: str, top: int) -> list[str]:
    length = max(1.0, share * (WIDTH - LABEL - VALUE))
    number = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    base = top + ROW - 9
    place = f'x="{LABEL}" y="{top + 3}" width="{length:.1f}" height="{ROW - 6}"'
    return [
        f'<text x="{LABEL - 8}" y="{base}" text-anchor="end">{escape(name)}</text>',
        f'<rect class="{kind}" {place} rx="2"/>',
        f'<text x="{LABEL + length + 6:.1f}" y="{base}">{number}</text>',
    ]
