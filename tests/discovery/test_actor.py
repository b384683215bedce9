"""The discovery actor in a supervision tree, over the in-memory source and a recording registry.

The inbox between a source and its actor: nothing lost, nothing reordered, bounded.
"""

from __future__ import annotations

import logging
import threading
import time

import pytest

from actors.engines.contract import Kind
from actors.registry.messages import PutInstance
from actors.supervision.cancellation import CancellationToken
from discovery.actor import EventInbox
from discovery.source import EntryUnusable, Event, Synced
from tests.discovery.world import A, B, World, value
from tests.support.waiting import eventually


def test_an_entry_becomes_an_instance_with_an_engine_of_its_own(world: World) -> None:
    world.memory.set(A, value("a"))
    world.start()
    world.memory.set(B, value("b", "completions", port=2))
    world.until("chat/a#", "completions/b#1")
    urls = {engine.entry.url for engine in world.registry.instances.values()}
    assert urls == {"http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"}


def test_a_deleted_entry_is_dropped_and_then_its_engine_is_closed(world: World) -> None:
    world.start()
    world.memory.set(A, value("a"))
    world.until("chat/a#")
    world.memory.delete(A)
    world.until()
    eventually(lambda: [engine.closed for engine in world.factory.made] == [1])


def test_a_changed_entry_replaces_the_engine_and_closes_the_old_one(world: World) -> None:
    world.start()
    world.memory.set(A, value("a", port=1))
    world.memory.set(A, value("a", port=2))
    eventually(lambda: [engine.closed for engine in world.factory.made] == [1, 0])
    assert world.registry.instances[Kind.CHAT, "a", ""] is world.factory.made[1]
    assert [type(message) for message in world.registry.messages] == [PutInstance, PutInstance]


def test_an_identical_entry_put_again_does_nothing(world: World) -> None:
    world.start()
    for _ in range(3):
        world.memory.set(A, value("a"))
    world.memory.set(A, value("a").replace(b", ", b" ,  "))  # the same entry in other bytes
    world.memory.set(B, value("b", "completions"))
    world.until("chat/a#", "completions/b#1")
    assert len(world.registry.messages) == len(world.factory.made) == 2


def test_garbage_is_quarantined_and_harms_nobody_else(world: World) -> None:
    world.memory.set(A, b"garbage")
    world.memory.set(B, value("b", "completions"))
    world.start()
    world.until("completions/b#1")
    world.until_synced()
    assert world.status.entries == 1
    assert world.status.quarantined_count == 1
    assert "not JSON" in world.status.quarantined["/models/chat/a"]


def test_a_bad_value_over_a_good_one_keeps_the_good_one(world: World) -> None:
    world.start()
    world.memory.set(A, value("a"))
    world.memory.set(A, b"garbage")
    world.until_status(lambda status: status.quarantined_count == 1)
    assert world.registry.names == {"chat/a#"}
    assert world.factory.made[0].closed == 0
    world.memory.delete(A)
    world.until()
    world.until_status(lambda status: not status.quarantined)


@pytest.mark.parametrize("port", [1, 2])
def test_a_good_value_ends_the_quarantine(world: World, port: int) -> None:
    world.start()
    world.memory.set(A, value("a"))
    world.memory.set(A, b"garbage")
    world.until_status(lambda status: status.quarantined_count == 1)
    world.memory.set(A, value("a", port=port))
    world.until_status(lambda status: status.quarantined_count == 0)
    assert world.registry.names == {"chat/a#"}
    assert len(world.factory.made) == port


def test_a_quarantined_key_that_is_deleted_is_forgotten(world: World) -> None:
    world.start()
    world.memory.set(A, b"garbage")
    world.until_status(lambda status: status.quarantined_count == 1)
    world.memory.delete(A)
    world.until_status(lambda status: status.quarantined_count == 0)
    assert world.registry.messages == []


def test_each_pair_of_key_and_reason_is_logged_once_even_over_a_crash(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.start()
    for _ in range(3):
        world.memory.set(A, b"garbage")
        world.memory.set(A, b"[]")
    world.memory.set(B, value("b", "completions"))
    world.until("completions/b#1")
    world.crash()
    world.until_synced()
    said = [r.getMessage() for r in caplog.records if "quarantined /models" in r.getMessage()]
    assert len(said) == 2, said
    assert "not JSON" in said[0]
    assert "Expected `object`" in said[1]


def test_the_status_lists_no_more_than_a_hundred_but_counts_all(world: World) -> None:
    world.start()
    for number in range(150):
        world.memory.set(b"/models/chat/%d" % number, b"garbage")
    world.until_status(lambda status: status.quarantined_count == 150)
    assert len(world.status.quarantined) == 100


def test_an_entry_of_which_no_engine_can_be_made_is_quarantined(world: World) -> None:
    world.factory.failure = RuntimeError("a secret path")
    world.start()
    world.memory.set(A, value("a"))
    world.until_status(lambda status: status.quarantined_count == 1)
    assert (
        world.status.quarantined["/models/chat/a"] == "no engine can be made of it (RuntimeError)"
    )
    world.factory.failure = None
    world.memory.set(A, value("a", port=2))
    world.until("chat/a#")
    world.until_status(lambda status: status.quarantined_count == 0)


def test_a_factory_may_say_why_it_can_not_serve_an_entry(world: World) -> None:
    world.factory.failure = EntryUnusable("there is no variable CALLBOARD_KEY_A here")
    world.start()
    world.memory.set(A, value("a"))
    world.until_status(lambda status: status.quarantined_count == 1)
    assert [*world.status.quarantined.values()] == ["there is no variable CALLBOARD_KEY_A here"]


def test_an_engine_that_fails_to_close_is_gone_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_engine: object) -> None:
        raise RuntimeError("stuck")

    monkeypatch.setattr("tests.discovery.fakes.FakeEngine.close", fail)
    world.start()
    world.memory.set(A, value("a"))
    world.memory.delete(A)
    world.memory.set(B, value("b", "completions"))
    world.until("completions/b#1")


def test_an_engine_whose_close_waits_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing, release = threading.Event(), threading.Event()

    def wait(_engine: object) -> None:
        closing.set()
        release.wait(20)

    monkeypatch.setattr("tests.discovery.fakes.FakeEngine.close", wait)
    world.start()
    world.memory.set(A, value("a"))
    world.memory.delete(A)
    assert closing.wait(10)
    world.memory.set(B, value("b", "completions"))
    world.until("completions/b#1")
    assert world.stop() < 1.0
    release.set()


def test_an_outage_drops_nothing_and_the_status_says_since_when_and_why(world: World) -> None:
    before = time.time()
    world.start()
    world.memory.set(A, value("a"))
    world.until_status(lambda status: status.synced and status.entries == 1)
    world.memory.interrupt("etcd can't be reached")
    world.until_status(lambda status: not status.synced)
    assert world.status.last_error == "etcd can't be reached"
    assert world.status.stale_since is not None
    assert before <= world.status.stale_since <= time.time()
    assert world.status.synced_once
    assert world.registry.names == {"chat/a#"}
    world.memory.restore()
    world.until_synced()
    assert world.status.stale_since is None
    assert len(world.registry.messages) == 1


def test_a_source_that_was_never_there_leaves_the_status_unsynced(world: World) -> None:
    world.memory.interrupt("etcd can't be reached")
    world.start()
    world.until_status(lambda status: status.last_error == "etcd can't be reached")
    assert not world.status.synced_once


def test_ten_thousand_entries_are_all_applied(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for number in range(10_000):
        world.memory.set(b"/models/chat/m#%d" % number, value("m"))
    world.start()
    eventually(lambda: world.status.synced, timeout=60, what="synced")
    assert world.status.entries == len(world.registry.instances) == 10_000
    assert len(caplog.records) < 500, "a snapshot is summed up, not told one by one"


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
