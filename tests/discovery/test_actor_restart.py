"""Crash, hang and stop of the discovery actor: what the next incarnation knows, and what ends."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from actors.engines.contract import Kind
from actors.registry.messages import DropInstance, PutInstance
from actors.supervision import Supervisor
from actors.supervision.cancellation import CancellationToken
from discovery.actor import discovery_child
from discovery.entry import Entry
from discovery.memory import MemorySource
from discovery.source import Deliver, Stale
from tests.discovery.fakes import FakeEngine
from tests.discovery.world import A, B, World, value
from tests.support.waiting import eventually


def test_after_a_crash_what_is_still_there_keeps_its_engine_and_is_put_again(world: World) -> None:
    world.start()
    world.memory.set(A, value("a"))
    world.memory.set(B, value("b", "completions"))
    world.until("chat/a#", "completions/b#1")
    engines = dict(world.registry.instances)
    world.registry.messages.clear()
    world.crash()
    eventually(lambda: len(world.registry.messages) == 2, what="both put again")
    world.until_synced()
    assert world.registry.instances == engines
    assert len(world.factory.made) == 2
    assert not any(engine.closed for engine in world.factory.made)


def test_after_a_crash_what_vanished_meanwhile_is_dropped_and_closed(world: World) -> None:
    world.start()
    world.memory.set(A, value("a"))
    world.memory.set(B, value("b", "completions"))
    world.until("chat/a#", "completions/b#1")
    world.memory.interrupt("away")
    world.until_status(lambda status: not status.synced)
    world.memory.delete(A)
    world.crash()
    world.until_status(lambda status: status.last_error == "away")
    assert world.registry.names == {"chat/a#", "completions/b#1"}, "nothing is dropped on a guess"
    world.memory.restore()
    world.until("completions/b#1")
    eventually(lambda: [engine.closed for engine in world.factory.made] == [1, 0])


def test_after_a_crash_a_bad_value_over_a_good_one_still_keeps_the_good_one(world: World) -> None:
    world.start()
    world.memory.set(A, value("a"))
    world.memory.set(A, b"garbage")
    world.until_status(lambda status: status.quarantined_count == 1)
    world.crash()
    world.until_synced()
    assert world.registry.names == {"chat/a#"}
    assert world.status.quarantined_count == 1


def test_after_a_crash_quarantined_keys_that_vanished_are_forgotten(world: World) -> None:
    world.start()
    world.memory.set(A, b"garbage")
    world.until_status(lambda status: status.quarantined_count == 1)
    world.memory.interrupt("away")
    world.memory.delete(A)
    world.crash()
    world.memory.restore()
    world.until_status(lambda status: status.synced and status.quarantined_count == 0)


def test_a_registry_that_does_not_answer_crashes_the_actor_and_nothing_is_lost(
    world: World,
) -> None:
    world.start()
    world.until_synced()
    world.registry.failures = 1
    world.memory.set(A, value("a"))
    world.until("chat/a#")
    world.registry.failures = 1
    world.memory.delete(A)
    world.until()
    assert [type(message) for message in world.registry.messages] == [PutInstance, DropInstance]


class Scripted:
    """A source whose first run ends as told; later ones go on in memory."""

    name = "scripted"

    def __init__(self, memory: MemorySource, failure: Exception | None) -> None:
        self.memory = memory
        self.failure = failure
        self.runs = 0
        self.fail_now = threading.Event()

    def run(self, deliver: Deliver, token: CancellationToken) -> None:
        self.runs += 1
        if self.runs == 1:
            deliver(Stale("about to fail"))
            assert self.fail_now.wait(20)
            if self.failure is not None:
                raise self.failure
            return
        self.memory.run(deliver, token)


@pytest.mark.parametrize("failure", [RuntimeError("a bug in the loop"), None])
def test_a_loop_that_ends_unasked_crashes_the_actor_which_is_restarted(
    world: World, failure: Exception | None
) -> None:
    world.memory.set(A, value("a"))
    source = Scripted(world.memory, failure)
    world.start(source)
    source.fail_now.set()
    world.until("chat/a#")
    assert source.runs == 2


def test_an_incarnation_that_was_abandoned_in_the_factory_puts_nothing_later(
    world: World,
) -> None:
    hanging, release, made = threading.Event(), threading.Event(), world.factory

    def factory(entry: Entry) -> FakeEngine:
        if not hanging.is_set():
            hanging.set()
            assert release.wait(20)
        return made(entry)

    world.memory.set(A, value("a"))
    child = discovery_child(world.memory, world.registry, factory, board=world.board)
    world.tree = Supervisor.start(replace(child, hang_after=0.2), intensity=100)
    assert hanging.wait(10)
    world.until("chat/a#")
    kept = world.registry.instances[Kind.CHAT, "a", ""]
    release.set()
    eventually(lambda: len(made.made) == 2, what="the abandoned one went on")
    world.memory.set(B, value("b", "completions"))
    world.until("chat/a#", "completions/b#1")
    assert world.registry.instances[Kind.CHAT, "a", ""] is kept
    assert len(world.registry.messages) == 2


def loops() -> list[Any]:
    return [t for t in threading.enumerate() if t.name.startswith("DiscoveryActor-loop")]


def test_a_crash_ends_the_loop_of_the_crashed_incarnation(world: World) -> None:
    world.start()
    for _ in range(3):
        world.crash()
    eventually(lambda: len(loops()) == 1, what="one loop")


def test_a_stop_ends_the_loop_and_leaves_the_registry_as_it_is(world: World) -> None:
    world.start()
    world.memory.set(A, value("a"))
    world.until("chat/a#")
    assert world.stop() < 1.0
    assert loops() == []
    assert world.registry.names == {"chat/a#"}
    assert world.factory.made[0].closed == 0
