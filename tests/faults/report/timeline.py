"""One run as a picture: requests a second, failures, restarts, and the time the fault was on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from tests.faults.evidence import Evidence

__all__ = ["Bins", "bins_of", "timeline"]

Across = Callable[[float], float]
"""From a moment, or a rate, to a place in the picture."""

WIDTH: Final = 640
HEIGHT: Final = 132
LEFT: Final = 40
RIGHT: Final = 10
TOP: Final = 18
FLOOR: Final = 104
MOST_BINS: Final = 120
LEAST: Final = 0.1
"""Seconds of the shortest bin."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Requests a second in equal slices of time: answered right, and not."""

    width: float
    right: tuple[float, ...]
    wrong: tuple[float, ...]

    @property
    def top(self) -> float:
        """The highest rate, at least 1."""
        return max(1.0, *(a + b for a, b in zip(self.right, self.wrong, strict=True)))


def bins_of(seen: Evidence) -> Bins:
    """Requests by the moment they were due, from :func:`_begin` on."""
    begin, end = _begin(seen), _end(seen)
    width = max(LEAST, (end - begin) / MOST_BINS)
    count = int((end - begin) / width) + 1
    right, wrong = [0] * count, [0] * count
    for request in seen.requests:
        place = min(count - 1, max(0, int((request.at - begin) / width)))
        (right if request.ok else wrong)[place] += 1
    return Bins(width, tuple(n / width for n in right), tuple(n / width for n in wrong))


def _begin(seen: Evidence) -> float:
    """Shortly before something is to be seen: starting up is nobody's concern here."""
    moments = [r.at for r in seen.requests[:50]] or [seen.injected_at - 0.5]
    return max(0.0, min(moments) - 0.1)


def _end(seen: Evidence) -> float:
    return max([seen.ended_at, _begin(seen) + LEAST, *(r.at for r in seen.requests[-200:])])


def timeline(seen: Evidence) -> str:
    """An SVG of its own, some kilobytes, with a title for who can't see it."""
    begin, end = _begin(seen), _end(seen)
    bins = bins_of(seen)

    def x(moment: float) -> float:
        """From seconds since the run began."""
        share = (moment - begin) / (end - begin)
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, share))

    def y(rate: float) -> float:
        return FLOOR - (FLOOR - TOP) * rate / bins.top

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" xmlns="http://www.w3.org/2000/svg">',
        f"<title>{escape(_told(seen))}</title>",
        *_grid(bins, end - begin, lambda moment: x(moment + begin)),
    ]
    if seen.requests:
        parts += [
            _area(bins, lambda moment: x(moment + begin), y),
            *_bars(bins, lambda moment: x(moment + begin), y),
        ]
    else:
        parts.append(
            f'<text x="{(LEFT + WIDTH) / 2:.0f}" y="64" class="a m">no load: the tree itself is'
            " the subject</text>"
        )
    parts += [*_window(seen, x), *_ticks(seen, x), "</svg>"]
    return "".join(parts)


def _told(seen: Evidence) -> str:
    return (
        f"{len(seen.requests)} requests, {len(seen.failed())} failed; the fault was on from "
        f"{seen.injected_at:.1f} to {seen.healed_at:.1f} s of {seen.ended_at:.1f} s"
    )


def _window(seen: Evidence, x: Across) -> list[str]:
    """A bar above the picture for the time the fault was on, and its edges through it."""
    left, right = x(seen.injected_at), x(seen.healed_at)
    size = f'width="{max(2.0, right - left):.1f}" height="5"'
    edges = [
        f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{FLOOR}" class="v"/>'
        for at in (left, right)
    ]
    return [*edges, f'<rect x="{left:.1f}" y="{TOP - 8}" {size} class="s"/>']


def _grid(bins: Bins, end: float, x: Across) -> list[str]:
    lines = [
        f'<line x1="{LEFT}" y1="{FLOOR}" x2="{WIDTH - RIGHT}" y2="{FLOOR}" class="g"/>',
        f'<text x="{LEFT - 4}" y="{TOP + 9}" class="a e">{bins.top:.0f}/s</text>',
        f'<text x="{LEFT - 4}" y="{FLOOR}" class="a e">0</text>',
    ]
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if end / s <= 8 or s == 1000)
    moment = 0.0
    while moment <= end:
        lines.append(f'<text x="{x(moment):.1f}" y="{HEIGHT - 2}" class="a m">{moment:g} s</text>')
        moment += step
    return lines


def _area(bins: Bins, x: Across, y: Across) -> str:
    points = [f"{x(0):.1f},{FLOOR}"]
    for number, rate in enumerate(bins.right):
        edges = (number, number + 1)
        points += [f"{x(edge * bins.width):.1f},{y(rate):.1f}" for edge in edges]
    points.append(f"{x(len(bins.right) * bins.width):.1f},{FLOOR}")
    return f'<polygon points="{" ".join(points)}" class="r"/>'


def _bars(bins: Bins, x: Across, y: Across) -> list[str]:
    found: list[str] = []
    for number, (right, wrong) in enumerate(zip(bins.right, bins.wrong, strict=True)):
        if wrong:
            left, top = x(number * bins.width), y(right + wrong)
            width = max(2.0, x((number + 1) * bins.width) - left)
            found.append(
                f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
                f'height="{y(right) - top:.1f}" class="x"/>'
            )
    return found


def _ticks(seen: Evidence, x: Across) -> list[str]:
    """Below the floor: one tick for each restart (at most a hundred), and give-ups."""
    restarts: Sequence[float] = [m.at for m in seen.marks if m.what.startswith("restart")][:100]
    ends = [m.at for m in seen.marks if m.what == "gave up"]
    found = [
        f'<path d="M{x(at):.1f},{FLOOR + 2}l3,7h-6z" class="t"><title>restart</title></path>'
        for at in restarts
    ]
    return found + [
        f'<text x="{x(at):.1f}" y="{FLOOR - 8}" class="a x">gave up</text>' for at in ends
    ]
