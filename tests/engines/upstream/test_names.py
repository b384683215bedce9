"""Names are looked up off the loop, once for all who ask, and not again for a while."""

from __future__ import annotations

import socket
import threading

import pytest

from actors.engines.upstream import names
from actors.engines.upstream.dial import Dial, Place
from actors.engines.upstream.names import FRESH, THREADS, UNSURE, Address, Names, literal
from actors.eventloop import EventLoop
from actors.testing import FakeClock
from tests.engines.recording import DEADLINE, wait_until

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

    def find(self, host: str = "h", seconds: float = DEADLINE) -> None:
        def note(found: list[Address] | OSError) -> None:
            self.told.append(found)
            self._told.release()

        self.names.find(host, 1, seconds, note)

    def hang(self, times: int, prefix: str = "dead") -> None:
        """Names whose look-ups do not end before the test says so."""
        for number in range(times):
            self.find(f"{prefix}-{number}")

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


def lookups() -> list[str]:
    """The threads that look names up, in any resolver."""
    return [each.name for each in threading.enumerate() if each.name.startswith("lookup-")]


def test_ten_thousand_names_that_hang_take_a_few_threads() -> None:
    book = Book([ONE])
    before = len(lookups())
    book.hang(10_000)
    assert len(lookups()) - before <= UNSURE < THREADS
    book.open.set()
    book.wait(10_000)
    assert len(set(book.asked)) == len(book.asked) == 10_000
    wait_until(lambda: len(lookups()) <= before)


def test_names_that_had_an_address_find_a_thread_however_many_hang() -> None:
    book = Book([ONE])
    book.open.set()
    book.find("well")
    book.wait()
    book.open.clear()
    book.hang(1000)
    wait_until(lambda: len(book.asked) == 1 + UNSURE)
    book.clock.advance(FRESH + 1)
    book.find("well", FRESH)
    wait_until(lambda: book.asked[-1] == "well")
    book.open.set()
    book.wait(1000)


def test_names_that_are_new_come_before_those_that_had_no_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "UNSURE", 1)
    book = Book(OSError("no such name"))
    book.open.set()
    book.hang(2, "gone")
    book.wait(2)
    book.open.clear()
    book.hang(1)
    book.hang(2, "gone")
    book.find("new")
    book.open.set()
    book.wait(4)
    assert book.asked == ["gone-0", "gone-1", "dead-0", "new", "gone-0", "gone-1"]


def test_a_name_that_nobody_waits_for_any_more_is_not_looked_up() -> None:
    book = Book([ONE])
    book.hang(UNSURE)
    book.find("late", seconds=1.0)
    book.clock.advance(1.0)
    book.find("early", seconds=1.0)
    book.open.set()
    assert book.wait(UNSURE + 1) == [[ONE]] * (UNSURE + 1)
    assert book.asked[-1] == "early"
    assert "late" not in book.asked


def test_who_asks_again_waits_for_the_same_turn_and_only_they_are_told() -> None:
    book = Book([ONE])
    book.hang(UNSURE)
    book.find("late", seconds=1.0)
    book.clock.advance(1.0)
    book.find("late", seconds=1.0)
    book.open.set()
    book.wait(UNSURE + 1)
    assert book.asked.count("late") == 1
    assert len(book.told) == UNSURE + 1


def test_a_dial_whose_name_does_not_get_its_turn_fails_as_late() -> None:
    book = Book([ONE])
    book.hang(UNSURE)
    loop = EventLoop(autostart=False)
    opened: list[socket.socket] = []
    errors: list[OSError] = []
    Dial(loop, book.names, Place("late", 1, None), 0.01, opened.append, errors.append)

    def stepped() -> object:
        loop.step(0.01)
        return errors

    wait_until(stepped)
    loop.close()
    book.open.set()
    book.wait(UNSURE)
    assert isinstance(errors[0], TimeoutError)
    assert not opened


def test_without_a_thread_what_waits_fails_unless_another_will_come_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(_self: object) -> None:
        raise RuntimeError("can't start new thread")

    book = Book([ONE])
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        book.find("a")
        ((failure,),) = [book.wait()]
        assert isinstance(failure, OSError)
    book.find("b")
    wait_until(lambda: book.asked == ["b"])
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        book.find("c")
    assert len(book.told) == 1
    book.open.set()
    assert book.wait(2)[1:] == [[ONE], [ONE]]
    assert book.asked == ["b", "c"]


def test_one_who_can_not_be_told_keeps_nobody_from_it() -> None:
    def fails(_found: object) -> None:
        raise RuntimeError("the loop is gone")

    book = Book([ONE])
    book.names.find("h", 1, DEADLINE, fails)
    book.find("h")
    book.open.set()
    assert book.wait() == [[ONE]]


def test_as_many_names_are_remembered_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(names, "REMEMBERED", 2)
    book = Book([ONE])
    book.open.set()
    for host in ("a", "b", "c"):
        book.find(host)
        book.wait()
    assert [book.names.known(host, 1) for host in ("a", "b", "c")] == [None, [ONE], [ONE]]
