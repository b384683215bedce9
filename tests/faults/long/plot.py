"""A line over its points, drawn as SVG without any library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

__all__ = ["plot"]

WIDTH: Final = 760
HEIGHT: Final = 260
LEFT: Final = 64
"""Pixels for the numbers of the upright axis."""
MARGIN: Final = 40
LINES: Final = 4
"""Lines across, above the one at zero."""

_STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600 }
.grid { stroke: #d5dae1 } .line { fill: none; stroke: #2f6fde; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .grid { stroke: #3d444d } .line { stroke: #4c8dff }
}"""


def plot(points: Sequence[tuple[float, float]], *, title: str) -> str:
    """An SVG document; both axes begin at zero, so that flat is flat."""
    most_x = max((x for x, _ in points), default=0) or 1
    most_y = (max((y for _, y in points), default=0) or 1) * 1.1
    wide, high = WIDTH - LEFT - MARGIN, HEIGHT - 2 * MARGIN
    places = " ".join(
        f"{LEFT + wide * x / most_x:.1f},{HEIGHT - MARGIN - high * y / most_y:.1f}"
        for x, y in points
    )
    size = f'width="{WIDTH}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="8" y="22">{escape(title)}</text>',
    ]
    for number in range(LINES + 1):
        height = HEIGHT - MARGIN - high * number / LINES
        label = f"{most_y * number / LINES:.4g}"
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - MARGIN}" y1="{height}" y2="{height}"/>'
        )
        lines.append(f'<text x="{LEFT - 8}" y="{height + 4}" text-anchor="end">{label}</text>')
    bottom = HEIGHT - MARGIN + 20
    lines.append(f'<text x="{LEFT}" y="{bottom}">0</text>')
    lines.append(
        f'<text x="{WIDTH - MARGIN}" y="{bottom}" text-anchor="end">{most_x:,.0f} requests</text>'
    )
    lines.append(f'<polyline class="line" points="{places}"/>')
    return "\n".join([*lines, "</svg>"]) + "\n"
