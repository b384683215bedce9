"""Names are looked up off the loop, once for all who ask, and not again for a while."""

from __future__ import annotations

import socket
import threading

import pytest

from actors.engines.upstream.names import FRESH, Address, Names, literal
from actors.testing import FakeClock
from tests.engines.recording import DEADLINE

ONE = Address(socket.AF_INET, ("127.0.0.1", 1))


class Book:
    """A resolver that the test opens."""

    def __init__(self, answer: list[Address] | Exception) -> None:
        self.answer = answer
        self.open = threading.Event()
        self.asked: list[str] = []
        self.clock = FakeClock()
        self.names = Names(self.look_up, self.clock.monotonic)
        self.told: list[list[Address] | OSError] = []
        self._told = threading.Semaphore(0)

    def look_up(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        assert self.open.wait(DEADLINE)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def find(self, host: str = "h") -> None:
        def note(found: list[Address] | OSError) -> None:
            self.told.append(found)
            self._told.release()

        self.names.find(host, 1, note)

    def wait(self, times: int = 1) -> list[list[Address] | OSError]:
        for _ in range(times):
            assert self._told.acquire(timeout=DEADLINE)
        return self.told


def test_asking_never_waits_for_the_answer() -> None:
    book = Book([ONE])
    book.find()
    assert book.told == []
    book.open.set()
    assert book.wait() == [[ONE]]


def test_all_who_ask_at_once_share_one_look_up() -> None:
    book = Book([ONE])
    for _ in range(5):
        book.find()
    book.open.set()
    assert book.wait(5) == [[ONE]] * 5
    assert book.asked == ["h"]


def test_a_name_that_hangs_holds_up_no_other() -> None:
    book = Book([ONE])
    book.find("slow")
    book.find("other")
    book.open.set()
    book.wait(2)
    assert sorted(book.asked) == ["other", "slow"]


def test_an_answer_is_known_for_a_while() -> None:
    book = Book([ONE])
    assert book.names.known("h", 1) is None
    book.open.set()
    book.find()
    book.wait()
    assert book.names.known("h", 1) == [ONE]
    assert book.names.known("h", 2) is None
    book.clock.advance(FRESH + 1)
    assert book.names.known("h", 1) is None


@pytest.mark.parametrize(
    "failure",
    [
        OSError("no such name"),
        UnicodeError("too long"),
        ValueError("embedded null byte"),
        OverflowError("port"),
        TypeError("a resolver's own defect"),
        [],
    ],
)
def test_a_failure_is_told_and_not_remembered(failure: list[Address] | Exception) -> None:
    book = Book(failure)
    book.open.set()
    book.find()
    (told,) = book.wait()
    assert isinstance(told, OSError)
    assert book.names.known("h", 1) is None
    book.find()
    book.wait()
    assert len(book.asked) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_address_needs_no_look_up(host: str) -> None:
    (address,) = literal(host, 7)
    assert address.place[:2] == (host, 7)


@pytest.mark.parametrize("host", ["localhost", "127.1.example", "", "1.2.3"])
def test_a_name_is_no_address(host: str) -> None:
    assert literal(host, 7) == []
