"""One contract for every policy; then what each of them promises."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from actors.engines import EngineBusy
from actors.engines.pool.failures import SUCCESS, classify
from actors.engines.pool.instance import Instance
from actors.engines.pool.policies import Policy, registered
from actors.engines.pool.policies.least_loaded import LeastLoaded
from actors.engines.pool.policies.registry import policy as register
from actors.engines.pool.selector import Selector
from actors.engines.pool.spec import InstanceSpec, PolicyName
from tests.engines.pool.placed import ENGINE, add, chosen, instance, made, remove
from tests.engines.pool.simulation import latencies, percentile


def test_every_name_has_a_policy() -> None:
    assert registered() == frozenset(PolicyName)


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="the policy 'round_robin' is registered twice"):
        register(PolicyName.ROUND_ROBIN)(LeastLoaded)


@pytest.mark.parametrize(
    ("word", "hint"),
    [("least_load", "; did you mean 'least_loaded'?"), ("zzz", ""), ("", "")],
)
def test_an_unknown_name_is_refused_with_a_suggestion(word: str, hint: str) -> None:
    known = "least_loaded, round_robin, power_of_two, session, prefix, cache"
    with pytest.raises(ValueError, match="unknown policy") as refused:
        PolicyName(word)
    assert str(refused.value) == f"unknown policy {word!r}: give one of {known}{hint}"


@pytest.fixture(params=list(PolicyName))
def policy(request: pytest.FixtureRequest) -> Policy:
    name: PolicyName = request.param
    return made(name)


def test_an_empty_policy_picks_nobody(policy: Policy) -> None:
    assert policy.pick() is None
    assert policy.pick("key") is None
    assert len(policy) == 0


def test_a_removed_member_is_not_picked_and_one_that_returns_is(policy: Policy) -> None:
    one, two = instance("one"), instance("two")
    add(policy, one, two)
    remove(policy, one)
    assert chosen(policy, 20) == {"two": 20}
    assert chosen(policy, 20, key="k") == {"two": 20}
    add(policy, one)
    remove(policy, two)
    policy.forget(two)
    assert chosen(policy, 20, key="k") == {"one": 20}


def test_requests_in_flight_are_spread_by_weight(policy: Policy) -> None:
    add(policy, *(instance(str(n), weight) for n, weight in enumerate((1.0, 1.0, 2.0, 4.0))))
    found = chosen(policy, 800, hold=True)
    for name, share in {"0": 100, "1": 100, "2": 200, "3": 400}.items():
        # Two choices are nearly, and not quite, as good as all of them.
        assert abs(found[name] - share) <= (10 if not _by_chance(policy) else 0.15 * 800)


def _by_chance(policy: Policy) -> bool:
    return type(policy).__name__ == "PowerOfTwo"


class PolicyMachine(RuleBasedStateMachine):
    """Whatever comes and goes: it picks somebody who is inside, exactly while somebody is."""

    name: PolicyName

    def __init__(self) -> None:
        super().__init__()
        self.policy = made(self.name)
        self.inside: list[Instance] = []
        self.outside = [instance(str(n), 1.0 + n % 3) for n in range(6)]

    @precondition(lambda self: bool(self.outside))
    @rule(at=st.integers(0, 5))
    def comes(self, at: int) -> None:
        each = self.outside.pop(at % len(self.outside))
        add(self.policy, each)
        self.inside.append(each)

    @precondition(lambda self: bool(self.inside))
    @rule(at=st.integers(0, 5), gone=st.booleans())
    def goes(self, at: int, gone: bool) -> None:
        each = self.inside.pop(at % len(self.inside))
        remove(self.policy, each)
        if gone:
            self.policy.forget(each)
            each = instance(each.id, each.spec.weight)
        self.outside.append(each)

    @precondition(lambda self: bool(self.inside))
    @rule(key=st.sampled_from(["", "a", "b"]))
    def asked(self, key: str) -> None:
        picked = self.policy.pick(key)
        assert picked in self.inside
        assert picked is not None
        picked.inflight += 1
        self.policy.update(picked)

    @rule(at=st.integers(0, 5))
    def ends(self, at: int) -> None:
        busy = [each for each in self.inside if each.inflight]
        if busy:
            each = busy[at % len(busy)]
            each.inflight -= 1
            self.policy.update(each)

    @invariant()
    def it_knows_how_many_are_inside(self) -> None:
        assert len(self.policy) == len(self.inside)
        if not self.inside:
            assert self.policy.pick("a") is None


def _machine(policy: PolicyName) -> type[PolicyMachine]:
    return type(f"{policy.name}Machine", (PolicyMachine,), {"name": policy})


SETTINGS = settings(max_examples=40, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("name", list(PolicyName))
def test_whatever_comes_and_goes_somebody_inside_is_picked(name: PolicyName) -> None:
    run_state_machine_as_test(_machine(name), settings=SETTINGS)


# Round robin.


def test_equal_members_take_turns() -> None:
    policy = made(PolicyName.ROUND_ROBIN)
    add(policy, *(instance(name) for name in "abc"))
    assert [picked.id for _ in range(7) if (picked := policy.pick())] == [*"abcabca"]


def test_turns_are_spread_evenly_and_not_in_bursts() -> None:
    policy = made(PolicyName.ROUND_ROBIN)
    add(policy, instance("a", 5.0), instance("b"), instance("c"))
    order = "".join(picked.id for _ in range(700) if (picked := policy.pick()))
    assert Counter(order) == {"a": 500, "b": 100, "c": 100}
    assert "a" * 7 not in order
    assert "bb" not in order


def test_eight_instances_get_their_weights_within_ten_percent() -> None:
    weights = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0, 0.5]
    policy = made(PolicyName.ROUND_ROBIN)
    add(policy, *(instance(str(n), weight) for n, weight in enumerate(weights)))
    found = chosen(policy, 2000)
    for n, weight in enumerate(weights):
        assert found[str(n)] == pytest.approx(2000 * weight / sum(weights), rel=0.1)


def test_a_member_that_was_away_does_not_catch_up() -> None:
    policy = made(PolicyName.ROUND_ROBIN)
    one, two = instance("one"), instance("two")
    add(policy, one, two)
    remove(policy, one)
    chosen(policy, 100)
    add(policy, one)
    found = chosen(policy, 20)
    assert abs(found["one"] - found["two"]) <= 1


@pytest.mark.parametrize("before", [0, 1, 4, 7])
def test_a_slow_start_that_is_over_leaves_no_uneven_turn(before: int) -> None:
    policy = made(PolicyName.ROUND_ROBIN)
    light, heavy = instance("light"), instance("heavy", 3.0)
    light.weight, heavy.weight = 0.1, 0.3
    add(policy, light, heavy)
    chosen(policy, before)
    for each in (light, heavy):
        each.weight = each.spec.weight
        policy.update(each)
    for _ in range(5):
        found = chosen(policy, 4)
        assert (found["light"], found["heavy"]) == (1, 3)


def test_a_new_member_waits_by_its_slow_weight_and_no_longer_than_that_lasts() -> None:
    policy = made(PolicyName.ROUND_ROBIN)
    old, new = instance("old"), instance("new")
    add(policy, old)
    chosen(policy, 100)
    new.weight = 0.1
    add(policy, new)
    assert chosen(policy, 20)["new"] == 2
    new.weight = 1.0
    policy.update(new)
    found = chosen(policy, 20)
    assert abs(found["new"] - found["old"]) <= 1


def test_members_that_come_and_go_leave_nothing_behind() -> None:
    policy = made(PolicyName.ROUND_ROBIN)
    one = instance("one")
    for _ in range(5000):
        add(policy, one)
        remove(policy, one)
    assert len(policy._turns) < 200  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType]  # what would grow


# Least loaded.


def test_the_least_loaded_for_its_weight_is_picked() -> None:
    policy = made(PolicyName.LEAST_LOADED)
    light, heavy = instance("light"), instance("heavy", 4.0)
    light.inflight, heavy.inflight = 1, 6
    add(policy, light, heavy)
    assert policy.pick() is heavy  # (6 + 1) / 4 < (1 + 1) / 1
    heavy.inflight = 8
    policy.update(heavy)
    assert policy.pick() is light


def test_ties_are_broken_by_chance_and_evenly() -> None:
    policy = made(PolicyName.LEAST_LOADED)
    add(policy, *(instance(str(n)) for n in range(10)))
    found = chosen(policy, 10_000)
    assert all(800 < found[str(n)] < 1200 for n in range(10))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 20)), max_size=60))
def test_nobody_is_less_loaded_than_who_is_picked(loads: list[tuple[int, int]]) -> None:
    buckets = LeastLoaded(random.Random(1).random)
    instances = [instance(str(n), 1.0 + n % 3) for n in range(10)]
    add(buckets, *instances)
    for at, inflight in loads:
        instances[at].inflight = inflight
        buckets.update(instances[at])
        picked = buckets.pick()
        assert picked is not None
        assert picked.load == min(each.load for each in instances)
    inside = sorted(buckets._buckets)  # pyright: ignore[reportPrivateUsage]  # its invariant
    assert inside == sorted(buckets._loads)  # pyright: ignore[reportPrivateUsage]  # its invariant


# Two choices.


def test_of_two_members_the_less_loaded_is_always_picked() -> None:
    policy = made(PolicyName.POWER_OF_TWO)
    busy, idle = instance("busy"), instance("idle")
    busy.inflight = 5
    add(policy, busy, idle)
    assert chosen(policy, 100) == {"idle": 100}


# The figure behind the default.


def test_the_least_loaded_beats_turns_with_one_slow_server() -> None:
    speeds = [0.1] * 7 + [1.0]
    turns = percentile(latencies(PolicyName.ROUND_ROBIN, speeds, requests=1000), 99)
    least = percentile(latencies(PolicyName.LEAST_LOADED, speeds, requests=1000), 99)
    assert least < turns / 5


# A pool's only instance, for which no policy is asked.


@pytest.mark.parametrize("name", PolicyName)
def test_a_second_instance_finds_the_load_of_the_first_one_known(name: PolicyName) -> None:
    selector = Selector(name, random.Random(3).random)
    selector.put("a", ENGINE, InstanceSpec(), "a", 0.0)
    first = selector.only
    assert first is not None
    held = 0
    for _ in range(6):  # as the pool counts them, without the selector
        first.inflight += 1
        held += 1
    selector.put("b", ENGINE, InstanceSpec(), "b", 0.0)
    assert selector.only is None
    # Past the slow start both have the same weight.
    picked = Counter(one.id for _ in range(4) if (one := selector.acquire(100.0)))
    if name in {
        PolicyName.LEAST_LOADED,
        PolicyName.POWER_OF_TWO,
        PolicyName.SESSION,
        PolicyName.CACHE,
    }:
        assert picked == {"b": 4}
    assert sum(one.inflight for one in selector.instances.values()) == held + 4
    for one in [*selector.instances.values()]:
        while one.inflight:
            selector.release(one, SUCCESS, 100.0)
    assert chosen_by(selector, 20) == {"a": 10, "b": 10} or name is PolicyName.POWER_OF_TWO


@pytest.mark.parametrize("name", PolicyName)
def test_the_last_of_two_instances_is_the_only_one_until_it_is_unhealthy(name: PolicyName) -> None:
    selector = Selector(name, random.Random(3).random)
    for id_ in "ab":
        selector.put(id_, ENGINE, InstanceSpec(), id_, 0.0)
    assert selector.only is None
    selector.remove("a")
    assert selector.only is selector.instances["b"]
    taken = selector.acquire(1.0)
    assert taken is not None
    selector.release(taken, classify(EngineBusy("busy")), 1.0)
    assert selector.only is None, "it asked for a cooldown"
    assert selector.acquire(60.0) is taken
    assert selector.only is taken
    selector.put("b", ENGINE, InstanceSpec(max_concurrency=1), "b", 60.0)
    assert selector.only is None, "it is full"
    selector.release(taken, SUCCESS, 60.0)
    assert selector.only is taken
    selector.put("b", ENGINE, InstanceSpec(draining=True), "b", 60.0)
    assert selector.only is None, "it drains"


def chosen_by(selector: Selector, times: int) -> Counter[str]:
    """Who is selected how often, when every request is held."""
    return Counter(one.id for _ in range(times) if (one := selector.acquire(100.0)))
