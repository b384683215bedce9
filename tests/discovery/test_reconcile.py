"""The reconciler: what is saved, what is sent, in which order, and nothing else.

Workers that say different things of one model: every front-end ends with the same belief.

Two workers with one instance name: whichever lives on is announced.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.contract import Kind
from actors.registry import ModelNotFound, ResolveModel
from actors.registry.messages import DropInstance, PutInstance
from discovery.codec import encode, event_of
from discovery.entry import Entry
from discovery.reconcile import AppliedState, Reconciler, Unconfirmed
from discovery.source import Event, Put, Removed, Synced, Unusable
from tests.discovery.fakes import Factory, FakeEngine
from tests.discovery.test_end_to_end import FrontEnd
from tests.discovery.test_registration import CHAT, Running, is_there, registration
from tests.support.etcd import EtcdServer, unique_root
from tests.support.waiting import eventually

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


URL = "http://127.0.0.1:9/v1"
OLD = Entry(Kind.CHAT, "m", URL, instance="a-old", aliases=("before",))
NEW = Entry(Kind.CHAT, "m", URL, instance="b-new", aliases=("after",))


def answers(front: FrontEnd, name: str) -> bool:
    try:
        front.registry.ask(ResolveModel(Kind.CHAT, name), timeout=5)
    except ModelNotFound:
        return False
    return True


def instances(front: FrontEnd) -> int:
    return len(front.registry.ask(ResolveModel(Kind.CHAT, "m"), timeout=5).engine)


def test_a_worker_that_drains_does_not_bring_its_old_aliases_back(etcd_server: EtcdServer) -> None:
    """A rolling update: the new worker comes, the old one says that it drains, then goes."""
    root = unique_root()
    first = registration(etcd_server, OLD, root=root)
    with FrontEnd(etcd_server, root) as front, Running(first) as old:
        eventually(lambda: answers(front, "before"), what="the old worker")
        with Running(registration(etcd_server, NEW, root=root)):
            eventually(lambda: answers(front, "after"), what="the new worker")
            assert old.registration.drain(10)
            eventually(lambda: front.board.status.draining == 1, what="it drains")
            assert answers(front, "after")
            assert not answers(front, "before")
            old.stop()
            eventually(lambda: instances(front) == 1, what="the old worker is gone")
            assert answers(front, "after")


def test_what_only_a_worker_that_left_said_of_the_model_is_not_believed_any_more(
    etcd_server: EtcdServer,
) -> None:
    """A roll-back: the new worker goes again, and the old one's word counts as before."""
    root = unique_root()
    first = registration(etcd_server, OLD, root=root)
    with FrontEnd(etcd_server, root) as front, Running(first):
        eventually(lambda: answers(front, "before"), what="the old worker")
        with Running(registration(etcd_server, NEW, root=root)):
            eventually(lambda: answers(front, "after"), what="the new worker")
        eventually(lambda: answers(front, "before"), what="the old worker is believed again")
        assert not answers(front, "after")


def test_a_front_end_that_starts_later_believes_the_same_as_one_that_watched(
    etcd_server: EtcdServer,
) -> None:
    """The order of the keys is not the order in which they were put."""
    root = unique_root()
    with FrontEnd(etcd_server, root) as watching:
        for entry in (NEW, OLD):
            etcd_server.put(*encode(entry, root))
        eventually(lambda: answers(watching, "before") and instances(watching) == 2, what="both")
        with FrontEnd(etcd_server, root) as later:
            eventually(lambda: later.models == ["m"] and instances(later) == 2, what="both")
            for name in ("before", "after"):
                assert answers(later, name) == answers(watching, name), name


def test_a_worker_is_announced_again_after_a_second_one_of_its_name_left(
    etcd_server: EtcdServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Started by mistake, or a replacement that was given up: the first one lives all the time."""
    caplog.set_level(logging.WARNING, "discovery.registration")
    root = unique_root()
    with Running(registration(etcd_server, root=root)) as first:
        assert first.registration.wait_registered(10)
        key = encode(CHAT, root)[0]
        with Running(registration(etcd_server, root=root)) as second:
            assert second.registration.wait_registered(10)
            eventually(lambda: "another worker has" in caplog.text, what="it is told")
        assert etcd_server.get(key) is None
        eventually(lambda: is_there(etcd_server, CHAT, root), what="announced again")
        assert etcd_server.lease_of(key) == first.registration.status.lease
    assert caplog.text.count("another worker has") == 1


def test_two_living_workers_of_one_name_don_t_fight_over_the_key(etcd_server: EtcdServer) -> None:
    root = unique_root()
    with Running(registration(etcd_server, root=root)) as first:
        assert first.registration.wait_registered(10)
        with Running(registration(etcd_server, root=root)) as second:
            assert second.registration.wait_registered(10)
            key, pause = encode(CHAT, root)[0], threading.Event()
            for _ in range(6):  # twice the lease's two seconds: the later one keeps it
                pause.wait(0.5)
                assert etcd_server.lease_of(key) == second.registration.status.lease


def test_a_worker_that_drains_leaves_the_key_to_its_successor(etcd_server: EtcdServer) -> None:
    """A rolling restart under a fixed ``--instance``, as the worker command does it."""
    root = unique_root()
    key = encode(CHAT, root)[0]
    with Running(registration(etcd_server, root=root)) as old:
        assert old.registration.wait_registered(10)
        with Running(registration(etcd_server, root=root)) as new:
            assert new.registration.wait_registered(10)
            assert old.registration.drain(10)
            assert is_there(etcd_server, CHAT, root)
            old.stop()
            assert is_there(etcd_server, CHAT, root)
            assert etcd_server.lease_of(key) == new.registration.status.lease


def test_a_key_that_an_operator_took_over_and_deleted_stays_deleted(
    etcd_server: EtcdServer,
) -> None:
    root = unique_root()
    key, value = encode(CHAT, root)
    with Running(registration(etcd_server, root=root)) as run:
        assert run.registration.wait_registered(10)
        etcd_server.put(key, value)  # without a lease: by hand
        pause = threading.Event()
        pause.wait(1.5)
        etcd_server.delete(key)
        pause.wait(1.5)  # two keep-alives pass and nothing may happen
        assert etcd_server.get(key) is None
