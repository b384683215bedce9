"""Scraping: off the event loop, one rendering at a time, a large one for a second, in pieces."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import pytest

from actors.testing import FakeClock
from http_service.inline import CURRENT_THREAD, WouldBlock
from http_service.server.waitress_channel import Channel
from http_service.server.waitress_closing import WRITE_QUANTUM
from http_service.telemetry import scraping as module
from http_service.telemetry.exposition import PIECE_BYTES, Numbers, Table, Tables
from http_service.telemetry.metrics import Metrics
from http_service.telemetry.scraping import (
    KEEP_SECONDS,
    MAX_LARGE,
    SMALL_BYTES,
    PiecesFile,
    Rendering,
    Scraping,
)
from tests.http_service.serving import RawClient, Running, eventually

DEADLINE = 10.0
"""Seconds for what takes milliseconds."""

LARGE = SMALL_BYTES // 20
"""Samples enough for a large rendering."""


class Slow(Tables):
    """Counts how often it is shown, and how many show it at once; each waits until it may go on."""

    def __init__(self, rows: int, width: int = 0) -> None:
        self.shown = 0
        self.at_once = 0
        self.most_at_once = 0
        self.goes_on = threading.Event()
        self.goes_on.set()
        self._rows = rows
        self._width = width
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
        rows = [((str(each).ljust(self._width),), float(number)) for each in range(self._rows)]
        yield Numbers("x_shown", "The number of the showing.", ("row",), rows)


def scraping(rows: int) -> tuple[Slow, Scraping, FakeClock]:
    """Something to scrape that nobody has scraped yet."""
    metrics, slow, clock = Metrics("x"), Slow(rows), FakeClock()
    metrics.register(slow)
    slow.shown = 0  # the registry looked at the names
    return slow, Scraping(metrics, clock.monotonic), clock


def body(found: Rendering) -> bytes:
    """The text, as one."""
    return b"".join(found.pieces)


@pytest.mark.parametrize("rows", [1, LARGE])
def test_nothing_is_rendered_or_written_on_the_event_loop(rows: int) -> None:
    slow, tested, _clock = scraping(rows)
    tested.rendering("")
    CURRENT_THREAD.inline = True
    try:
        with pytest.raises(WouldBlock):
            tested.rendering("")
    finally:
        CURRENT_THREAD.inline = False
    assert slow.shown == 1


def test_what_is_large_is_handed_out_for_a_second() -> None:
    slow, tested, clock = scraping(LARGE)
    first = tested.rendering("")
    clock.advance(KEEP_SECONDS / 2)
    assert tested.rendering("") == first
    clock.advance(KEEP_SECONDS / 2)
    assert tested.rendering("") != first
    assert slow.shown == 2


def test_what_is_small_shows_all_that_was_before_the_scrape() -> None:
    _slow, tested, _clock = scraping(1)

    for number in range(1, 4):
        assert f'x_shown{{row="0"}} {number}.0\n'.encode() in body(tested.rendering(""))


def test_each_format_is_kept_for_itself() -> None:
    slow, tested, _clock = scraping(LARGE)
    plain, open_metrics = tested.rendering(""), tested.rendering("application/openmetrics-text")

    assert body(open_metrics).endswith(b"# EOF\n")
    assert not body(plain).endswith(b"# EOF\n")
    assert open_metrics.content_type.startswith("application/openmetrics-text;")
    assert plain.content_type.startswith("text/plain;")
    assert (tested.rendering(""), tested.rendering("application/openmetrics-text")) == (
        plain,
        open_metrics,
    )
    assert slow.shown == 2


@pytest.mark.parametrize("rows", [1, LARGE])
def test_sixty_scrapes_at_once_are_rendered_one_at_a_time_and_large_ones_once(rows: int) -> None:
    slow, tested, _clock = scraping(rows)
    slow.goes_on.clear()
    with ThreadPoolExecutor(60) as pool:
        scrapes = [pool.submit(tested.rendering, "") for _ in range(60)]
        eventually(lambda: slow.shown == 1, "the first renders")
        slow.goes_on.set()
        answers = {id(each.result(DEADLINE)) for each in scrapes}

    assert slow.most_at_once == 1
    assert len(answers) == slow.shown
    assert rows == 1 or slow.shown == 1


def test_a_rendering_is_never_one_large_piece() -> None:
    _slow, tested, _clock = scraping(10 * LARGE)
    found = tested.rendering("")

    assert [len(each) for each in found.pieces[:-1]] == [PIECE_BYTES] * (len(found.pieces) - 1)
    assert 0 < len(found.pieces[-1]) <= PIECE_BYTES
    assert found.length == len(body(found)) > 3 * PIECE_BYTES


def test_all_who_scrape_read_the_same_pieces() -> None:
    _slow, tested, _clock = scraping(LARGE)
    files = [tested.rendering("").open() for _ in range(60)]
    first = files[0].read()

    assert len(first) == PIECE_BYTES
    assert all(each.read() is first for each in files[1:])


PIECES: Final = (bytes(range(256)) * (PIECE_BYTES // 256), b"x" * PIECE_BYTES, b"the rest")


@pytest.mark.parametrize(
    "size", [1000, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 4 * PIECE_BYTES, -1]
)
def test_a_file_of_pieces_reads_as_its_bytes(size: int) -> None:
    whole = b"".join(PIECES)
    tested = PiecesFile(Rendering(1, PIECES, "text/plain"))

    read = [*iter(partial(tested.read, size), b"")]

    assert b"".join(read) == whole
    assert size < 0 or max(map(len, read)) <= size
    assert tested.tell() == len(whole)


def test_a_file_of_pieces_is_read_from_wherever_it_was_left() -> None:
    whole = b"".join(PIECES)
    tested = PiecesFile(Rendering(1, PIECES, "text/plain"))

    assert tested.seekable()
    assert tested.seek(0, os.SEEK_END) == len(whole)
    assert tested.read(1) == b""
    assert tested.seek(PIECE_BYTES - 2) == PIECE_BYTES - 2
    assert tested.read(10) == whole[PIECE_BYTES - 2 : PIECE_BYTES], "to the end of a piece"
    assert tested.seek(-1, os.SEEK_CUR) == PIECE_BYTES - 1
    assert tested.read(-1) == whole[PIECE_BYTES - 1 : PIECE_BYTES]
    tested.close()
    assert tested.read() == b""


SCRAPE: Final = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def test_large_metrics_come_whole_to_many_clients_at_once(live: Running) -> None:
    """Through the server, which sends no piece twice and skips none."""
    live.service.model_manager().metrics().register(Slow(10 * LARGE))
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(live.address)) for _ in range(10)]
        for client in clients:
            client.send(SCRAPE)
        answers = [client.read_to_end() for client in clients]
    for answer in answers:
        head, _, found = answer.partition(b"\r\n\r\n")
        assert f"content-length: {len(found)}".encode() in head.lower()
        rows = [line for line in found.split(b"\n") if line.startswith(b"x_shown{")]
        assert len(rows) == 10 * LARGE
        assert found.endswith(b"\n")


def test_between_two_looks_at_others_a_large_answer_sends_two_pieces_at_most(
    live: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever reads it fast would have the loop to himself otherwise."""
    sent: dict[float, int] = {}
    send = Channel.send

    def noted(self: Any, data: bytes, do_close: bool = True) -> int:  # Waitress'
        taken: int = send(self, data, do_close)
        loop = self.server.loop
        if loop.on_loop:
            sent[loop.now] = sent.get(loop.now, 0) + taken
        return taken

    monkeypatch.setattr(Channel, "send", noted)
    live.service.model_manager().metrics().register(Slow(20 * LARGE))
    with RawClient(live.address) as client:
        client.send(SCRAPE)
        answer = client.read_to_end()

    assert len(answer) > 10 * PIECE_BYTES
    assert 0 < max(sent.values()) <= WRITE_QUANTUM + PIECE_BYTES == 2 * PIECE_BYTES


def test_few_large_renderings_are_in_memory_and_who_reads_an_older_one_is_cut_off() -> None:
    _slow, tested, clock = scraping(LARGE)
    files: list[PiecesFile] = []
    for _ in range(MAX_LARGE + 2):
        files.append(tested.rendering("").open())
        clock.advance(KEEP_SECONDS)
        assert files[-1].read(100)

    for old in files[:2]:
        with pytest.raises(OSError, match="newer"):
            old.read()
    for young in files[2:]:
        young.seek(0)
        assert sum(map(len, iter(young.read, b""))) == young.tell() > SMALL_BYTES


def test_a_rendering_that_was_read_makes_room_for_another() -> None:
    _slow, tested, clock = scraping(LARGE)
    slow_reader = tested.rendering("").open()
    for _ in range(3 * MAX_LARGE):
        clock.advance(KEEP_SECONDS)
        tested.rendering("").open().close()

    assert slow_reader.read()


def test_small_renderings_are_never_taken_from_their_readers() -> None:
    _slow, tested, _clock = scraping(1)
    first = tested.rendering("").open()
    for _ in range(3 * MAX_LARGE):
        tested.rendering("")

    assert first.read()


def test_a_connection_that_reads_old_metrics_too_slowly_is_closed(
    live: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(module, "MAX_LARGE", 1)
    live.service.model_manager().metrics().register(Slow(4000, 4000))  # no socket takes it
    head = b""
    with ExitStack() as stack:
        clients = [stack.enter_context(RawClient(live.address)) for _ in range(2)]
        for client in clients:
            client.send(SCRAPE)
            head = client.read_until(b"\r\n\r\n")
            assert b"200 OK" in head
        length = int(re.findall(rb"content-length: (\d+)", head, re.IGNORECASE)[0])
        assert len(clients[0].read_to_end()) < length
        assert len(clients[-1].read_to_end()) == length
