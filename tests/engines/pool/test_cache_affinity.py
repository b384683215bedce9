"""The policy ``cache``: blocks of a prompt, the index of who was sent them, and the choice."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.pool.instance import Instance, Place
from actors.engines.pool.policies.bounded_loads import SLACK
from actors.engines.pool.policies.cache_affinity import (
    CHARACTERS_A_REQUEST,
    ENDS,
    CacheAffinity,
    PrefixIndex,
    blocks_of,
    prompt_text,
)
from actors.engines.pool.spec import InstanceSpec
from tests.engines.pool.fakes import Manual

ENGINE = Manual("http://one")
SYSTEM = "You answer questions about the weather. " * 100


def instance(name: str) -> Instance:
    return Instance(name, ENGINE, InstanceSpec(), name, 0.0)


def policy_of(*instances: Instance) -> CacheAffinity:
    policy = CacheAffinity(random.Random(5).random)
    for each in instances:
        each.place = Place.ACTIVE
        policy.add(each)
    return policy


def hold(policy: CacheAffinity, text: str) -> str:
    """Send a prompt, keep it in flight; the instance that got it."""
    chosen = policy.pick(blocks_of(text))
    assert chosen is not None
    chosen.inflight += 1
    policy.update(chosen)
    return chosen.id


def release(policy: CacheAffinity, *instances: Instance) -> None:
    for each in instances:
        each.inflight = 0
        policy.update(each)


# Blocks.


@given(st.text(min_size=0, max_size=20), st.integers(0, 9000), st.integers(0, 9000))
def test_prompts_that_begin_alike_share_the_blocks_of_what_is_alike(
    piece: str, length: int, other: int
) -> None:
    text = ((piece + "a") * 9000)[:length]
    shorter = text[:other]
    alike = len(blocks_of(shorter))
    assert blocks_of(text)[:alike] == blocks_of(shorter)
    assert alike == sum(end <= len(shorter) for end in ENDS)


def test_a_difference_changes_every_block_from_there_on() -> None:
    text = "x" * 5000
    changed = text[:600] + "y" + text[601:]
    ours, theirs = blocks_of(text), blocks_of(changed)
    assert [a == b for a, b in zip(ours, theirs, strict=True)] == [True] * 2 + [False] * 8


def test_a_short_prompt_has_no_block_and_a_huge_one_has_as_many_as_decide() -> None:
    assert blocks_of("x" * (ENDS[0] - 1)) == ()
    assert len(blocks_of("x" * 2_000_000)) == len(ENDS)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"prompt": "Once"}, "Once"),
        ({"prompt": ["Once", "Twice"]}, "OnceTwice"),
        ({"prompt": [1, 2]}, "1 2 "),
        ({"prompt": None}, ""),
        ({}, ""),
        ({"messages": [{"role": "user", "content": "Hi"}]}, "user\nHi\n"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]}, "user\nab\n"),
        ({"messages": ["odd", {"role": "user"}]}, "user\n\n"),
        (
            {
                "messages": [{"role": "user", "content": "Hi"}],
                "tools": [{"function": {"name": "f"}}, "odd", {"type": "g"}],
            },
            "f\nuser\nHi\n",
        ),
    ],
)
def test_the_text_of_a_prompt_is_what_a_chat_template_renders_in_its_order(
    body: Any, text: str
) -> None:
    assert prompt_text(body) == text


def test_two_images_of_one_kind_are_different_prompts() -> None:
    def asked(image: str) -> str:
        part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
        return prompt_text({"messages": [{"role": "user", "content": [part]}]})

    assert asked("A" * 5000) != asked("A" * 4999 + "B")


def test_a_long_conversation_is_read_as_far_as_it_decides() -> None:
    messages = [{"role": "user", "content": "x" * 1000}] * 10_000
    assert len(prompt_text({"messages": messages})) < ENDS[-1] + 2000


# The index.


def naive(sent: Sequence[tuple[tuple[int, ...], int]], blocks: Sequence[int]) -> dict[int, int]:
    """How many leading blocks each holder was sent, looked up one by one."""
    depths: dict[int, int] = {}
    for holder in {holder for _, holder in sent}:
        known = {block for prompt, number in sent if number == holder for block in prompt}
        depth = next((n for n, block in enumerate(blocks) if block not in known), len(blocks))
        if depth:
            depths[holder] = depth
    return depths


prompts = st.lists(st.integers(1, 6), max_size=6).map(tuple)


@given(st.lists(st.tuples(prompts, st.integers(0, 70)), max_size=20), prompts)
def test_the_index_finds_what_looking_one_by_one_finds(
    sent: list[tuple[tuple[int, ...], int]], blocks: tuple[int, ...]
) -> None:
    index = PrefixIndex()
    for prompt, holder in sent:
        index.learn(prompt, holder)
    found = {
        holder: depth
        for holders, depth in index.matches(blocks)
        for holder in range(71)
        if holders >> holder & 1
    }
    assert found == naive(sent, blocks)
    assert [depth for _, depth in index.matches(blocks)] == sorted(set(found.values()))


def test_the_index_keeps_no_more_than_its_limit_and_what_is_sent_again_stays() -> None:
    index = PrefixIndex(limit=2000)
    favourite = tuple(range(-20, 0))
    for start in range(0, 100_000, 10):
        index.learn(favourite, 1)
        index.learn(range(start, start + 10), 0)
        assert len(index) <= 2000
    assert index.matches(favourite) == [(0b10, 20)]
    assert index.matches((5,)) == []


def test_a_number_is_given_again_only_when_no_block_names_it() -> None:
    index = PrefixIndex(limit=200)
    first = index.number()
    index.learn((1, 2, 3), first)
    index.release(first)
    assert index.number() != first
    for start in range(100, 1000):
        index.learn((start,), 5)
    assert index.matches((1, 2, 3)) == []
    assert index.number() == first


def test_numbers_stay_small_however_many_instances_came_and_went() -> None:
    index = PrefixIndex()
    for _ in range(20_000):
        number = index.number()
        assert number < 4000
        index.release(number)


# The choice.


def test_a_conversation_stays_where_its_beginning_was_read() -> None:
    instances = [instance(str(n)) for n in range(8)]
    policy = policy_of(*instances)
    text = SYSTEM
    home = hold(policy, text)
    release(policy, *instances)
    for turn in range(20):
        text += f"user: and on day {turn}? " * 20
        assert hold(policy, text) == home
        release(policy, *instances)


def test_a_burst_of_one_conversation_goes_to_one_instance_while_it_has_room() -> None:
    instances = [instance(str(n)) for n in range(4)]
    policy = policy_of(*instances)
    homes = {hold(policy, SYSTEM * 3 + f"question {n}" * 100) for n in range(2)}
    assert len(homes) == 1


def test_one_hot_prompt_overloads_no_instance() -> None:
    instances = [instance(str(n)) for n in range(8)]
    policy = policy_of(*instances)
    for _ in range(800):
        hold(policy, SYSTEM)
    assert max(each.inflight for each in instances) <= SLACK * 100 + 1


def test_a_match_is_worth_as_many_requests_in_flight_as_its_characters_cost() -> None:
    warm, cold = instance("warm"), instance("cold")
    policy = policy_of(warm, cold, *(instance(str(n)) for n in range(6)))
    warm.inflight = 1
    text = "x" * ENDS[-1]
    policy._index.learn(blocks_of(text), policy._numbers[warm])  # pyright: ignore[reportPrivateUsage]  # sets the scene
    for each in policy._numbers:  # pyright: ignore[reportPrivateUsage]  # everyone is busy
        each.inflight = 9
        policy.update(each)
    warm.inflight = 11
    policy.update(warm)
    assert policy.pick(blocks_of(text)) is warm
    assert policy.pick(blocks_of("x" * CHARACTERS_A_REQUEST)) is not warm


def test_what_is_gone_for_good_is_not_preferred_under_its_old_name() -> None:
    old, other = instance("a"), instance("b")
    policy = policy_of(old, other)
    old.inflight = 0
    other.inflight = 1
    policy.update(other)
    assert hold(policy, SYSTEM) == "a"
    policy.remove(old)
    policy.forget(old)
    restarted = instance("a")
    restarted.place = Place.ACTIVE
    policy.add(restarted)
    index = policy._index  # pyright: ignore[reportPrivateUsage]  # what would be wrong
    numbers = policy._numbers  # pyright: ignore[reportPrivateUsage]
    assert all(
        not holders >> numbers[restarted] & 1 for holders, _ in index.matches(blocks_of(SYSTEM))
    )


def test_a_member_that_is_full_for_a_moment_keeps_its_cache() -> None:
    full, other = instance("a"), instance("b")
    policy = policy_of(full, other)
    other.inflight = 1
    policy.update(other)
    assert hold(policy, SYSTEM) == "a"
    policy.remove(full)
    full.place = Place.UNAVAILABLE
    assert hold(policy, "y" * 5000) == "b"
    full.inflight, full.place = 0, Place.ACTIVE
    policy.add(full)
    assert hold(policy, SYSTEM + "and then?") == "a"


def test_a_shared_system_prompt_in_a_large_fleet_is_shared_out_by_load() -> None:
    instances = [instance(str(n)) for n in range(500)]
    policy = policy_of(*instances)
    for _ in range(5000):
        hold(policy, SYSTEM)
    assert max(each.inflight for each in instances) <= SLACK * 10 + 1
    assert min(each.inflight for each in instances) >= 5
