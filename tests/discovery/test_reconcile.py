"""The reconciler: what is saved, what is sent, in which order, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.contract import Kind
from actors.registry.messages import DropInstance, PutInstance
from discovery.applied_state import AppliedState
from discovery.codec import event_of
from discovery.entry import Entry
from discovery.reconcile import Reconciler, Unconfirmed
from discovery.source import Event, Put, Removed, Synced, Unusable
from tests.discovery.fakes import Factory, FakeEngine

A = "/models/chat/a"


def put(name: str = "a", port: int = 1, **fields: Any) -> Put:
    model, _, instance = name.partition("#")
    endpoint = {"url": f"http://h:{port}/v1"}
    value = {"name": model, "model_type": "chat", "endpoint": endpoint, **fields}
    if instance:
        value["instance"] = instance
    event = event_of(f"/models/chat/{name}".encode(), json.dumps(value).encode())
    assert isinstance(event, Put)
    return event


def run(
    *events: Event, applied: AppliedState | None = None, unconfirmed: Unconfirmed | None = None
) -> Reconciler:
    reconciler = Reconciler(applied or AppliedState(), unconfirmed or Unconfirmed(), Factory())
    for event in events:
        reconciler.take(event)
    return reconciler


def sent(reconciler: Reconciler) -> list[str]:
    return [f"{type(m).__name__} {m.model}#{m.instance}" for m in reconciler.messages]


def after(*events: Event) -> AppliedState:
    return run(*events).outcome()[1]


def test_what_is_new_is_noted_before_it_is_sent_and_what_is_gone_only_after() -> None:
    reconciler = run(put("b"), Removed(A), applied=after(put()))
    noted, settled = reconciler.outcome()
    assert sent(reconciler) == ["PutInstance b#", "DropInstance a#"]
    assert {*noted.placed} == {A, "/models/chat/b"}
    assert {*settled.placed} == {"/models/chat/b"}


def told(reconciler: Reconciler) -> list[tuple[str, bool]]:
    """The instances that were put, and whether they were said to drain."""
    puts = [each for each in reconciler.messages if isinstance(each, PutInstance)]
    return [(each.model, each.spec.draining) for each in puts]


def test_an_entry_that_begins_to_drain_is_said_to_and_keeps_its_engine() -> None:
    before = after(put())
    reconciler = run(put(state="draining"), applied=before)
    _, settled = reconciler.outcome()
    assert told(reconciler) == [("a", True)]
    assert reconciler.leaving == reconciler.made == []
    assert settled.placed[A].engine is before.placed[A].engine
    assert settled.draining == {A}


def test_a_draining_entry_that_is_removed_is_dropped_and_gives_its_engine_back() -> None:
    draining = run(put(state="draining"), applied=after(put())).outcome()[1]
    reconciler = run(Removed(A), applied=draining)
    assert sent(reconciler) == ["DropInstance a#"]
    assert len(reconciler.leaving) == 1
    assert reconciler.outcome()[1] == AppliedState()


def test_an_entry_that_serves_again_after_a_drain_keeps_its_engine() -> None:
    draining = run(put(state="draining"), applied=after(put())).outcome()[1]
    reconciler = run(put(), applied=draining)
    assert told(reconciler) == [("a", False)]
    assert reconciler.leaving == reconciler.made == []
    assert reconciler.outcome()[1].draining == frozenset()


def test_an_entry_that_drains_at_another_address_gets_another_engine() -> None:
    before = after(put())
    reconciler = run(put(port=2, state="draining"), applied=before)
    assert told(reconciler) == [("a", True)]
    assert reconciler.leaving == [before.placed[A].engine]
    assert reconciler.outcome()[1].placed[A].engine is reconciler.made[0]


def test_an_entry_that_comes_as_draining_is_known_as_draining() -> None:
    reconciler = run(put(state="draining"))
    assert told(reconciler) == [("a", True)]
    assert reconciler.outcome()[1].placed[A].engine is reconciler.made[0]


def test_a_key_put_deleted_and_put_in_one_batch_is_there_at_the_end() -> None:
    reconciler = run(put(), Removed(A), put(port=2), applied=after(put()))
    noted, settled = reconciler.outcome()
    assert noted == settled
    assert settled.placed[A].entry.url == "http://h:2/v1"
    assert sent(reconciler) == ["DropInstance a#", "PutInstance a#"]


def test_after_a_crash_a_draining_entry_is_said_to_drain_again() -> None:
    draining = run(put(state="draining"), applied=after(put())).outcome()[1]
    reconciler = run(put(state="draining"), applied=draining, unconfirmed=Unconfirmed({A}))
    assert told(reconciler) == [("a", True)]


def test_trouble_is_quarantined_under_its_own_name_and_ends() -> None:
    reconciler = run(put(), Unusable("file:w.json", "not JSON"))
    assert reconciler.outcome()[1].quarantined == {"file:w.json": "not JSON"}
    over = run(Unusable("file:w.json", None), applied=reconciler.outcome()[1])
    assert over.outcome()[1].quarantined == {}
    assert {*over.outcome()[1].placed} == {A}


def test_unknown_fields_are_noted_even_if_nothing_else_changed() -> None:
    reconciler = run(put(future=1), applied=after(put()))
    assert reconciler.messages == []
    assert reconciler.outcome()[1].unknown == {"/models/chat/a": ("future",)}


def test_an_origin_keeps_the_instances_of_two_sources_apart() -> None:
    reconciler = Reconciler(AppliedState(), Unconfirmed(), Factory(), origin="file")
    reconciler.take(put("a#w1"))
    reconciler.take(put("a"))
    assert sent(reconciler) == ["PutInstance a#file#w1", "PutInstance a#file#"]


def test_the_message_that_announces_an_instance_can_be_another_one() -> None:
    def announce(entry: Entry, instance: str, engine: object) -> PutInstance:
        assert isinstance(engine, FakeEngine)
        return PutInstance(Kind.CHAT, f"{entry.name}-weighted", instance, engine)

    reconciler = Reconciler(AppliedState(), Unconfirmed(), Factory(), announce=announce)
    reconciler.take(put("a"))
    assert sent(reconciler) == ["PutInstance a-weighted#"]


def test_an_id_that_names_another_instance_removes_the_former_one() -> None:
    other = Put(A, put("b").entry)
    reconciler = run(other, applied=after(put()))
    assert sent(reconciler) == ["DropInstance a#", "PutInstance b#"]
    assert len(reconciler.leaving) == 1
    assert {each.entry.name for each in reconciler.outcome()[1].placed.values()} == {"b"}


def test_a_stranger_is_refused() -> None:
    with pytest.raises(AssertionError):
        run("poison")  # type: ignore[arg-type]  # what the test is about


def garbage(name: str) -> Unusable:
    return Unusable(put(name).id, "not JSON")


def gone(name: str) -> Removed:
    return Removed(put(name).id)


EVENTS = st.lists(
    st.one_of(
        st.builds(put, st.sampled_from("abc"), st.integers(1, 2)),
        st.builds(put, st.sampled_from("abc"), state=st.just("draining")),
        st.builds(garbage, st.sampled_from("abc")),
        st.builds(gone, st.sampled_from("abc")),
        st.just(Synced(1)),
    ),
    max_size=12,
)


def registry_after(reconcilers: list[Reconciler]) -> dict[str, object]:
    held: dict[str, object] = {}
    for reconciler in reconcilers:
        for message in reconciler.messages:
            if isinstance(message, DropInstance):
                held.pop(message.model, None)
            else:
                held[message.model] = message.engine
    return held


@given(EVENTS, st.integers(0, 12))
def test_the_cut_into_batches_changes_nothing(events: list[Event], cut: int) -> None:
    whole = run(*events)
    first = run(*events[:cut])
    second = run(*events[cut:], applied=first.outcome()[1])
    one, two = whole.outcome()[1], second.outcome()[1]
    assert {key: each.entry for key, each in one.placed.items()} == {
        key: each.entry for key, each in two.placed.items()
    }
    assert (one.quarantined, one.draining) == (two.quarantined, two.draining)
    assert {*registry_after([whole])} == {*registry_after([first, second])}


@given(EVENTS)
def test_the_registry_holds_exactly_what_is_placed_and_nothing_that_leaves(
    events: list[Event],
) -> None:
    reconciler = run(*events)
    settled = reconciler.outcome()[1]
    held = registry_after([reconciler])
    kept = [each.engine for each in settled.placed.values()]
    assert held == {each.entry.name: each.engine for each in settled.placed.values()}
    assert sorted(map(id, [*kept, *reconciler.leaving])) == sorted(map(id, reconciler.made))
