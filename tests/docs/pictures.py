"""Draws ``docs/images/request.svg`` and ``discovery.svg``: which file a request and an entry visit.

Run ``python -m tests.docs.pictures`` after changing a row; a test holds the pictures to this table,
and the request's rows to the files that a request is seen to visit (``tests/bench/test_way.py``).
"""

from __future__ import annotations

from html import escape
from typing import Final, NamedTuple

from tests.docs.blocks import ROOT

__all__ = ["PICTURES", "Picture", "Step", "svg"]

IMAGES: Final = ROOT / "docs" / "images"

WIDTH: Final = 880
ROW: Final = 46
TOP: Final = 74
BOTTOM: Final = 24


class Step(NamedTuple):
    """One file on the way: its floor, its path, and what it does there."""

    floor: str
    path: str
    does: str


class Picture(NamedTuple):
    """A way down, and what comes back up beside it, if anything does."""

    name: str
    title: str
    subtitle: str
    steps: tuple[Step, ...]
    back: str = ""


REQUEST: Final = Picture(
    "request",
    "The way of a relayed request",
    "all of it on the event loop's thread: no hand-over, no wait",
    (
        Step("server", "http/http_service/server/waitress_channel.py", "reads the socket"),
        Step("server", "http/http_service/server/parser.py", "one strict reading of HTTP"),
        Step("api", "http/http_service/api/generate.py", "the Falcon resource: resolve, count"),
        Step("api", "http/http_service/api/validation.py", "the body, decoded once and typed"),
        Step(
            "actors",
            "actors/supervision/calling_thread_actor.py",
            "the ask: a free turn is a plain call",
        ),
        Step("registry", "actors/registry/registry.py", "which pool serves this model"),
        Step(
            "streaming",
            "http/http_service/streaming/exchange.py",
            "the request as one object, to its last byte",
        ),
        Step("pool", "actors/engines/pool/pool.py", "picks an instance, by policy"),
        Step("upstream", "actors/engines/upstream/engine.py", "relays to one model server"),
        Step("upstream", "actors/engines/upstream/call.py", "deadlines, retry on a fresh socket"),
        Step("upstream", "actors/engines/upstream/connection.py", "an open socket, used again"),
    ),
    "response: socket → stream_relay → stream_exchange → waitress_channel → socket",
)

DISCOVERY: Final = Picture(
    "discovery",
    "The way of an entry, from etcd to the pool",
    "on threads of its own; while etcd is away, the last known entries go on serving",
    (
        Step("etcd", "discovery/etcd/client.py", "the only module that speaks gRPC"),
        Step("etcd", "discovery/etcd/watch.py", "snapshot, difference, watch from there on"),
        Step("source", "discovery/source.py", "put, deleted, synced, stale: any source says these"),
        Step("actor", "discovery/actor.py", "takes all waiting events as one batch"),
        Step("actor", "discovery/codec.py", "bytes to an entry, or a reason why not"),
        Step("actor", "discovery/reconcile.py", "compares with what was applied; pure"),
        Step(
            "actor",
            "discovery/reconcile.py",
            "saved before and after: the next incarnation goes on",
        ),
        Step("registry", "actors/registry/messages.py", "put an instance, drop an instance"),
        Step("registry", "actors/registry/registry.py", "one owner, messages in order"),
        Step("pool", "actors/engines/pool/pool.py", "the instance takes its first request"),
    ),
)

PICTURES: Final = (REQUEST, DISCOVERY)

STYLE: Final = """
    .card { fill: #fbfcfe; stroke: #d0d7de } .box { fill: #e9f2ff; stroke: #0969da }
    .title, .name { fill: #1f2328 } .quiet { fill: #57606a } .floor { fill: #8250df }
    .way { stroke: #57606a } .tip { fill: #57606a }
    .back { stroke: #1a7f37 } .back-tip, .back-text { fill: #1a7f37 }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #30363d } .box { fill: #12243d; stroke: #4493f8 }
      .title, .name { fill: #f0f6fc } .quiet { fill: #9198a1 } .floor { fill: #ab7df8 }
      .way { stroke: #9198a1 } .tip { fill: #9198a1 }
      .back { stroke: #3fb950 } .back-tip, .back-text { fill: #3fb950 }
    }
"""
FONT: Final = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def svg(picture: Picture) -> str:
    """The picture as an SVG that follows the reader's light or dark theme."""
    height = TOP + ROW * len(picture.steps) + BOTTOM
    steps = [f"{step.path}: {step.does}" for step in picture.steps]
    description = "; ".join([*steps, picture.back] if picture.back else steps)
    card = f'<rect class="card" x="1" y="1" width="{WIDTH - 2}" height="{height - 2}" rx="12"/>'
    rows = [line for at, step in enumerate(picture.steps) for line in _row(picture, at, step)]
    lines = [
        f'<title id="title">{escape(picture.title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<style>{STYLE}  </style>",
        f"<defs>{_tip('tip')}{_tip('back-tip')}</defs>",
        card,
        _text("title", 28, 36, picture.title, 'font-size="18" font-weight="600"'),
        _text("quiet", 28, 57, picture.subtitle, 'font-size="13"'),
        *rows,
        *(_back(picture, height) if picture.back else ()),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-labelledby="title description" font-family="{FONT}">'
    )
    return "\n".join([head, *(f"  {line}" for line in lines), "</svg>"]) + "\n"


def _text(style: str, x: int, y: int, text: str, more: str) -> str:
    return f'<text class="{style}" x="{x}" y="{y}" {more}>{escape(text)}</text>'


def _arrow(style: str, tip: str, way: str) -> str:
    return (
        f'<path class="{style}" d="{way}" fill="none" stroke-width="1.6" marker-end="url(#{tip})"/>'
    )


def _tip(name: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path class="{name}" d="M0 0 10 5 0 10z"/></marker>'
    )


def _row(picture: Picture, at: int, step: Step) -> list[str]:
    """A box with the file's name; on the left its floor, where that changes; then what it does."""
    y = TOP + ROW * at
    folder, _, name = step.path.removeprefix("http/").rpartition("/")
    lines = [
        f'<rect class="box" x="134" y="{y}" width="290" height="32" rx="7"/>',
        _text("name", 146, y + 21, name, 'font-size="13" font-weight="600"'),
        _text("quiet", 414, y + 20, folder, 'font-size="9.5" text-anchor="end"'),
        _text("quiet", 440, y + 21, step.does, 'font-size="13"'),
    ]
    if at == 0 or picture.steps[at - 1].floor != step.floor:
        style = 'font-size="13" font-weight="600" text-anchor="end"'
        lines.append(_text("floor", 118, y + 21, step.floor, style))
    if at + 1 < len(picture.steps):
        lines.append(_arrow("way", "tip", f"M279 {y + 32}V{y + ROW - 1}"))
    return lines


def _back(picture: Picture, height: int) -> list[str]:
    """The arrow up the right edge, with its text along it."""
    x, middle = WIDTH - 60, (TOP + height - BOTTOM) // 2
    along = f'font-size="12" text-anchor="middle" transform="rotate(90 {x + 18} {middle})"'
    return [
        _arrow("back", "back-tip", f"M{x} {height - BOTTOM - 14}V{TOP}"),
        _text("back-text", x + 18, middle, picture.back, along),
    ]


if __name__ == "__main__":
    for drawn in PICTURES:
        (IMAGES / f"{drawn.name}.svg").write_text(svg(drawn))
