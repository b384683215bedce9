"""Policies with keys: the same key finds the same instance, as long as it is there."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from actors.engines.pool.policies import Policy
from actors.engines.pool.policies.bounded_loads import SLACK
from actors.engines.pool.policies.consistent_hash import ConsistentHash
from actors.engines.pool.spec import InstanceSpec, PolicyName
from tests.engines.pool.placed import ENGINE, add, chosen, instance, made, remove

KEYS = [f"session-{n}" for n in range(2000)]


def owners(policy: Policy) -> dict[str, str]:
    return {key: picked.id for key in KEYS if (picked := policy.pick(key))}


def test_a_key_keeps_its_member() -> None:
    policy = made(PolicyName.SESSION)
    add(policy, *(instance(str(n)) for n in range(8)))
    assert owners(policy) == owners(policy)


def test_the_same_members_own_the_same_keys_in_every_process() -> None:
    one, other = made(PolicyName.SESSION, 1), made(PolicyName.SESSION, 2)
    add(one, *(instance(str(n)) for n in range(8)))
    add(other, *(instance(str(n)) for n in reversed(range(8))))
    assert owners(one) == owners(other)


def test_a_member_that_comes_or_goes_moves_only_its_own_keys() -> None:
    policy = made(PolicyName.SESSION)
    instances = [instance(str(n)) for n in range(8)]
    add(policy, *instances)
    before = owners(policy)
    remove(policy, instances[3])
    policy.forget(instances[3])
    without = owners(policy)
    assert {key for key in KEYS if before[key] != without[key]} == {
        key for key in KEYS if before[key] == "3"
    }
    add(policy, instance("3"))
    assert owners(policy) == before


def test_keys_are_shared_out_by_weight() -> None:
    policy = made(PolicyName.SESSION)
    add(policy, *(instance(str(n)) for n in range(7)), instance("7", 3.0))
    found = Counter(owners(policy).values())
    assert all(0.4 * 200 < found[str(n)] < 1.7 * 200 for n in range(7))
    assert 0.7 * 600 < found["7"] < 1.3 * 600


def test_a_hot_key_overloads_nobody() -> None:
    policy = made(PolicyName.SESSION)
    instances = [instance(str(n)) for n in range(8)]
    add(policy, *instances)
    chosen(policy, 800, key="hot", hold=True)
    assert max(each.inflight for each in instances) <= SLACK * 100 + 1


def test_a_new_weight_takes_its_keys_at_once() -> None:
    policy = made(PolicyName.SESSION)
    heavy = instance("7", 5.0)
    add(policy, *(instance(str(n)) for n in range(7)), heavy)
    remove(policy, heavy)
    heavy.renew(ENGINE, InstanceSpec(weight=0.1))
    add(policy, heavy)
    assert Counter(owners(policy).values())["7"] < 0.1 * len(KEYS)


def test_a_member_that_is_away_for_a_moment_is_not_hashed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a limit of its own it is away each time that it is full."""
    ring = made(PolicyName.SESSION)
    full, other = instance("a"), instance("b")
    add(ring, full, other)
    owned = owners(ring)
    hashed = 0

    def count(_id: str, _weight: float) -> tuple[int, ...]:
        nonlocal hashed
        hashed += 1
        return ()

    monkeypatch.setattr("actors.engines.pool.policies.consistent_hash._points_of", count)
    for _ in range(10):
        remove(ring, full)
        add(ring, full)
    assert owners(ring) == owned
    assert hashed == 0


def test_a_ring_forgets_who_is_gone() -> None:
    ring = ConsistentHash(random.Random(1).random)
    add(ring, instance("stays"))
    for number in range(500):
        guest = instance(str(number))
        add(ring, guest)
        remove(ring, guest)
        ring.forget(guest)
        ring.pick("key")
    assert len(ring._points) < 200  # pyright: ignore[reportPrivateUsage]  # what would grow
