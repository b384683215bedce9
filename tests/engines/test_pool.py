"""A pool never changes: it is replaced, and its instances take turns."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from actors.engines import Context, EngineUnavailable, Pool
from actors.engines.contract import EngineRequest, Sink
from actors.engines.pool import Instance
from tests.engines.asking import chat
from tests.engines.recording import RecordingSink


class Counted:
    def __init__(self) -> None:
        self.asked = 0

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        self.asked += 1
        sink.finish()


def ids(pool: Pool) -> list[str]:
    return [instance.id for instance in pool.instances]


def chosen(pool: Pool, times: int) -> list[str]:
    found = [pool.select() for _ in range(times)]
    return [instance.id for instance in found if instance is not None]


def pool_of(*names: str) -> Pool:
    return Pool(tuple(Instance(name, Counted()) for name in names))


def test_an_added_instance_is_in_the_new_pool_only() -> None:
    old = pool_of("a")
    new = old.with_instance("b", Counted())
    assert (ids(old), ids(new)) == (["a"], ["a", "b"])


def test_an_instance_of_the_same_id_is_replaced_in_its_place() -> None:
    engine = Counted()
    new = pool_of("a", "b", "c").with_instance("b", engine)
    assert ids(new) == ["a", "b", "c"]
    assert new.instances[1].engine is engine


def test_a_dropped_instance_is_gone_from_the_new_pool_only() -> None:
    old = pool_of("a", "b")
    assert (ids(old.without("a")), ids(old)) == (["b"], ["a", "b"])


def test_dropping_an_unknown_instance_changes_nothing() -> None:
    pool = pool_of("a")
    assert pool.without("z") is pool


def test_a_pool_is_true_while_it_has_an_instance() -> None:
    pool = pool_of("a")
    assert pool
    assert not pool.without("a")
    assert len(pool) == 1


def test_two_instances_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="different ids"):
        pool_of("a", "a")


def test_the_instances_take_turns() -> None:
    assert chosen(pool_of("a", "b", "c"), 5) == ["a", "b", "c", "a", "b"]


def test_the_turn_goes_on_in_the_pools_successor() -> None:
    old = pool_of("a", "b")
    assert chosen(old, 1) == ["a"]
    assert chosen(old.with_instance("c", Counted()), 2) == ["b", "c"]


def test_turns_are_fair_among_threads() -> None:
    pool = pool_of("a", "b", "c", "d")
    seen: list[list[str]] = []
    threads = [threading.Thread(target=lambda: seen.append(chosen(pool, 1000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert Counter(name for names in seen for name in names) == dict.fromkeys("abcd", 1000)


def test_a_request_goes_to_one_instance() -> None:
    engines = Counted(), Counted()
    pool = Pool().with_instance("a", engines[0]).with_instance("b", engines[1])
    for _ in range(4):
        sink = RecordingSink()
        pool.start(chat(), sink, Context("r"))
        assert sink.ends == ["finish"]
    assert [engine.asked for engine in engines] == [2, 2]


def test_an_empty_pool_says_that_nobody_serves_the_model() -> None:
    with pytest.raises(EngineUnavailable, match="'m'") as refusal:
        Pool().start(chat(), RecordingSink(), Context("r"))
    assert (refusal.value.status, refusal.value.retry_after) == (503, 1)


def test_a_pool_prints_its_instances() -> None:
    assert repr(pool_of("a", "b")) == "<Pool of ['a', 'b']>"
