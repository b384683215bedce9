"""Scraping: off the event loop, one rendering at a time, a large one for a second."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from actors.testing import FakeClock
from http_service.exposition import Numbers, Table, Tables
from http_service.inline import NeedsWorker, set_inline
from http_service.metrics import Metrics
from http_service.scraping import KEEP, SMALL, Scraping
from tests.http_service.serving import eventually

DEADLINE = 10.0
"""Seconds for what takes milliseconds."""

LARGE = SMALL // 20
"""Samples enough for a large rendering."""


class Slow(Tables):
    """Counts how often it is shown, and how many show it at once; each waits until it may go on."""

    def __init__(self, rows: int) -> None:
        self.shown = 0
        self.at_once = 0
        self.most_at_once = 0
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._rows = rows
        self._lock = threading.Lock()

    def tables(self) -> Iterable[Table]:
        """A gauge with the number of the showing."""
        with self._lock:
            self.shown += 1
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
            number = self.shown
        assert self.goes_on.wait(DEADLINE)
        with self._lock:
            self.at_once -= 1
        rows = [((str(each),), float(number)) for each in range(self._rows)]
        yield Numbers("x_shown", "The number of the showing.", ("row",), rows)


def scraping(rows: int) -> tuple[Slow, Scraping, FakeClock]:
    """Something to scrape that nobody has scraped yet."""
    metrics, slow, clock = Metrics("x"), Slow(rows), FakeClock()
    metrics.register(slow)
    slow.shown = 0  # the registry looked at the names
    return slow, Scraping(metrics, clock.monotonic), clock


@pytest.mark.parametrize("rows", [1, LARGE])
def test_nothing_is_rendered_or_written_on_the_event_loop(rows: int) -> None:
    slow, tested, _clock = scraping(rows)
    tested.answer("")
    set_inline(True)
    try:
        with pytest.raises(NeedsWorker):
            tested.answer("")
    finally:
        set_inline(False)
    assert slow.shown == 1


def test_what_is_large_is_handed_out_for_a_second() -> None:
    slow, tested, clock = scraping(LARGE)
    first = tested.answer("")
    clock.advance(KEEP / 2)
    assert tested.answer("") == first
    clock.advance(KEEP / 2)
    assert tested.answer("") != first
    assert slow.shown == 2


def test_what_is_small_shows_all_that_was_before_the_scrape() -> None:
    _slow, tested, _clock = scraping(1)

    for number in range(1, 4):
        assert f'x_shown{{row="0"}} {number}.0\n'.encode() in tested.answer("")[0]


def test_each_format_is_kept_for_itself() -> None:
    slow, tested, _clock = scraping(LARGE)
    plain, open_metrics = tested.answer(""), tested.answer("application/openmetrics-text")

    assert open_metrics[0].endswith(b"# EOF\n")
    assert not plain[0].endswith(b"# EOF\n")
    assert (tested.answer(""), tested.answer("application/openmetrics-text")) == (
        plain,
        open_metrics,
    )
    assert slow.shown == 2


@pytest.mark.parametrize("rows", [1, LARGE])
def test_sixty_scrapes_at_once_are_rendered_one_at_a_time_and_large_ones_once(rows: int) -> None:
    slow, tested, _clock = scraping(rows)
    slow.goes_on.clear()
    with ThreadPoolExecutor(60) as pool:
        scrapes = [pool.submit(tested.answer, "") for _ in range(60)]
        eventually(lambda: slow.shown == 1, "the first renders")
        slow.goes_on.set()
        answers = {each.result(DEADLINE)[0] for each in scrapes}

    assert slow.most_at_once == 1
    assert len(answers) == slow.shown
    assert rows == 1 or slow.shown == 1
