"""``requests`` and ``events``: what a running front-end did last, and what it does now."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from actors.cli.admin import STREAM_TIMEOUT, opened, printed
from actors.cli.client import Unreachable
from actors.cli.output import Paint, document, in_words, painter, shown, table
from actors.cli.parsing import parse_settings
from actors.cli.signals import OK
from actors.settings.admin import EventsSettings, PrintedSettings, RequestsSettings

__all__ = ["DESCRIPTIONS", "events", "requests"]

DESCRIPTIONS: Final = {
    "requests": "List the last requests of a running front-end, the newest last; with --follow, "
    "each\nfurther one as it ends.",
    "events": "List what happened last in a running front-end: restarts, instances that came, went "
    "or\nwere ejected, what operators did; with --follow, as it happens.",
}


@dataclass(frozen=True, slots=True)
class _Followed:
    """One kind of record: its topic, how one is shown as cells, and which are wanted."""

    topic: str
    titles: Sequence[str]
    cells: Callable[[Any], Sequence[object]]
    wanted: Callable[[Any], bool]
    widths: Sequence[int]


def requests(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """``requests``: the last ones, then each further one if that is asked for."""
    settings = parse_settings(
        RequestsSettings, "requests", DESCRIPTIONS["requests"], arguments, environment
    )
    asked = {"limit": settings.limit, "q": settings.grep, "status": settings.status}
    followed = _Followed(
        "requests", _REQUEST_TITLES, _request, lambda row: matches(row, settings), _REQUEST_WIDTHS
    )
    return printed(lambda: _run(settings, followed, asked, follow=settings.follow))


def events(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """``events``: the last ones, then each further one if that is asked for."""
    settings = parse_settings(
        EventsSettings, "events", DESCRIPTIONS["events"], arguments, environment
    )
    followed = _Followed("events", _EVENT_TITLES, _event, lambda _row: True, _EVENT_WIDTHS)
    return printed(
        lambda: _run(settings, followed, {"limit": settings.limit}, follow=settings.follow)
    )


def _run(
    settings: PrintedSettings, followed: _Followed, asked: Mapping[str, object], *, follow: bool
) -> int:
    query = urlencode({name: value for name, value in asked.items() if value})
    path = f"/admin/v1/{followed.topic}?{query}"
    with opened(settings) as client, opened(settings, STREAM_TIMEOUT) as stream:
        if not follow:
            _print_all(client.get(path), followed, settings.output)
            return OK
        # The stream first, so that nothing is missed between the two.
        coming = stream.events(f"/admin/v1/stream?topics={followed.topic}")
        answer = client.get(path)
        _print_more(answer[followed.topic], followed, settings.output, titles=True)
        for event in coming:
            if event.topic == followed.topic:
                new = [each for each in event.json() if each["sequence"] > answer["next"]]
                _print_more(filter(followed.wanted, new), followed, settings.output)
    raise Unreachable(f"{settings.admin_url} has stopped")


def _print_all(answer: Any, followed: _Followed, output: str) -> None:
    if output != "table":
        print(document(answer, output), flush=True)
        return
    rows = [followed.titles, *(followed.cells(each) for each in answer[followed.topic])]
    print("\n".join(table(rows, painter(sys.stdout))), flush=True)


def _print_more(
    records: Iterable[Any], followed: _Followed, output: str, *, titles: bool = False
) -> None:
    """Print records as they come: in columns of a fixed width, or as a document each."""
    if output != "table":
        lines: Iterator[str] = (document(each, output, indent=None) for each in records)
    else:
        head: list[Sequence[object]] = [followed.titles] if titles else []
        rows = [*head, *(followed.cells(each) for each in records)]
        paint = painter(sys.stdout)
        lines = (_fixed(row, followed.widths, paint) for row in rows)
    for line in lines:
        print(line, flush=True)


def _fixed(row: Sequence[object], widths: Sequence[int], paint: Paint) -> str:
    padded = [shown(cell).ljust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join(map(paint, padded)).rstrip()


def matches(row: Any, settings: RequestsSettings) -> bool:
    """Whether a request is one that was asked for, as the admin API's own filter decides; pure."""
    digits = settings.status.removesuffix("xx")
    if digits and not str(row["status"]).startswith(digits):
        return False
    names = ("id", "model", "endpoint", "instance", "outcome")
    return not settings.grep or any(settings.grep in str(row[name]) for name in names)


_REQUEST_TITLES: Final = (
    "TIME", "STATUS", "MODEL", "INSTANCE", "TRIES", "FIRST TOKEN", "DURATION", "TOKENS", "OUTCOME",
    "ID",
)  # fmt: skip
_REQUEST_WIDTHS: Final = (12, 6, 24, 16, 5, 11, 8, 9, 12, 12)
_EVENT_TITLES: Final = ("TIME", "LEVEL", "SUBJECT", "WHAT", "BY")
_EVENT_WIDTHS: Final = (12, 7, 32, 40, 8)


def _request(row: Any) -> Sequence[object]:
    tokens = f"{_count(row['input_tokens'])}+{_count(row['output_tokens'])}"
    return (
        clock(row["at"]), str(row["status"]), row["model"], row["instance"], str(row["attempts"]),
        seconds(row["first_token"]), seconds(row["duration"]), tokens, row["outcome"], row["id"],
    )  # fmt: skip


def _event(row: Any) -> Sequence[object]:
    before, after = (_told(row[name]) for name in ("before", "after"))
    change = f": {before} → {after}" if before or after else ""
    return (
        clock(row["at"]),
        row["level"],
        row["subject"],
        f"{row['text']}{change}",
        row["by"] or "",
    )


def _told(found: Any) -> str:
    """One side of a change: the facts of an instance or a child, or what was said of it."""
    return in_words(found) if isinstance(found, dict) else str(found or "")  # pyright: ignore[reportUnknownArgumentType]  # JSON


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def clock(at: float) -> str:
    """Unix time as the time of day here, to the millisecond."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S.%f")[:-3]


def seconds(duration: float | None) -> str:
    """A duration as a person reads it: ``41 ms``, ``1.41 s``; "-" for none."""
    if duration is None:
        return "-"
    return f"{duration * 1000:.0f} ms" if duration < 1 else f"{duration:.2f} s"
