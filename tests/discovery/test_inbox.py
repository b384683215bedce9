"""The inbox between a source and its actor: nothing lost, nothing reordered, bounded."""

from __future__ import annotations

import threading

from actors.supervision.cancellation import CancellationToken
from discovery.actor import EventInbox
from discovery.source import Event, Synced
from tests.support.waiting import eventually


def test_events_are_taken_in_their_order_and_a_waiting_one_wakes_once() -> None:
    wakes: list[None] = []
    inbox, token = EventInbox(lambda: wakes.append(None)), CancellationToken()
    for number in range(3):
        inbox.add(Synced(number), token)
    assert len(wakes) == 1
    assert inbox.take(10).events == (Synced(0), Synced(1), Synced(2))
    assert inbox.take(10).events == ()
    inbox.add(Synced(3), token)
    assert len(wakes) == 2


def test_what_is_left_after_a_take_wakes_again() -> None:
    wakes: list[None] = []
    inbox, token = EventInbox(lambda: wakes.append(None)), CancellationToken()
    for number in range(5):
        inbox.add(Synced(number), token)
    assert inbox.take(3).events == (Synced(0), Synced(1), Synced(2))
    assert len(wakes) == 2
    assert inbox.take(3).events == (Synced(3), Synced(4))
    assert len(wakes) == 2


def test_a_full_inbox_holds_the_source_up_until_there_is_room_or_it_is_cancelled() -> None:
    inbox, token = EventInbox(lambda: None, limit=2), CancellationToken()
    done = [threading.Event() for _ in range(4)]

    def fill() -> None:
        for number, each in enumerate(done):
            inbox.add(Synced(number), token)
            each.set()

    filler = threading.Thread(target=fill, daemon=True)
    filler.start()
    assert done[1].wait(10)
    assert not done[2].wait(0.05)
    assert inbox.take(1).events == (Synced(0),)
    assert done[2].wait(10)
    assert not done[3].wait(0.05)
    token.cancel()
    assert done[3].wait(10)
    assert inbox.take(10).events == (Synced(1), Synced(2))


def test_nothing_is_lost_between_a_busy_source_and_a_busy_actor() -> None:
    bell, token = threading.Event(), CancellationToken()
    inbox, seen = EventInbox(bell.set), list[Event]()

    def take() -> None:
        while len(seen) < 20_000:
            assert bell.wait(20)
            bell.clear()
            seen.extend(inbox.take(7).events)

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    for number in range(20_000):
        inbox.add(Synced(number), token)
    eventually(lambda: not taker.is_alive(), 30, "all were taken")
    assert seen == [Synced(number) for number in range(20_000)]
