"""Instances as a policy is given them."""

from __future__ import annotations

import random
from collections import Counter

from actors.engines.pool.instance import Instance, Place
from actors.engines.pool.policies import Policy, new_policy
from actors.engines.pool.spec import InstanceSpec, PolicyName
from tests.engines.pool.fakes import Manual

ENGINE = Manual("http://one")


def instance(name: str, weight: float = 1.0) -> Instance:
    return Instance(name, ENGINE, InstanceSpec(weight=weight), name, 0.0)


def add(policy: Policy, *instances: Instance) -> None:
    for each in instances:
        each.place = Place.ACTIVE
        policy.add(each)


def remove(policy: Policy, each: Instance) -> None:
    policy.remove(each)
    each.place = Place.UNAVAILABLE


def made(name: PolicyName, seed: int = 3) -> Policy:
    return new_policy(name, random.Random(seed).random)


def chosen(policy: Policy, times: int, *, key: str = "", hold: bool = False) -> Counter[str]:
    """Who was picked how often; ``hold`` keeps each request in flight."""
    found: Counter[str] = Counter()
    for _ in range(times):
        picked = policy.pick(key)
        assert picked is not None
        found[picked.id] += 1
        if hold:
            picked.inflight += 1
            policy.update(picked)
    return found
