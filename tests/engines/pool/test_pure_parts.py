"""The small decisions: breaker, slow start, budget, failure class, specs, keys, percentiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import (
    Context,
    EngineBusy,
    EngineError,
    EngineRejected,
    EngineTimeout,
    EngineUnavailable,
)
from actors.engines.pool import HedgeAfter, InstanceSpec, PolicyName, Timeouts
from actors.engines.pool.breaker import FIRST_WHILE, LIMIT, LONGEST_WHILE, Breaker, BreakerState
from actors.engines.pool.breaker import while_out as out_for
from actors.engines.pool.failures import COOLDOWN, classify
from actors.engines.pool.instance import MIN_SHARE, SLOW_START_SECONDS, share
from actors.engines.pool.policies import Key, key_of
from actors.engines.pool.policies.consistent_hash import PREFIX_CHARACTERS
from actors.engines.pool.retry_budget import MIN_SAMPLES, WINDOW_SIZE, LatencyWindow, RetryBudget
from actors.supervision.errors import Cancelled
from tests.engines.asking import chat, complete
from tests.engines.pool.fakes import refused, reset

# The breaker.


def test_harm_in_a_row_opens_a_breaker_and_a_success_in_between_does_not() -> None:
    breaker = Breaker()
    for _ in range(LIMIT - 1):
        assert not breaker.failed(1, 0.0, 0.0)
    breaker.succeeded()
    assert not breaker.failed(1, 0.0, 0.0)
    assert breaker.failed(LIMIT, 0.0, 0.0)
    assert breaker.state is BreakerState.OPEN


def test_a_trial_decides() -> None:
    breaker = Breaker()
    breaker.failed(LIMIT, 10.0, 1.0)
    assert not breaker.due(10.9)
    assert breaker.due(11.0)
    breaker.try_again()
    assert breaker.failed(1, 11.0, 1.0)
    assert breaker.until == 11.0 + 2 * FIRST_WHILE
    breaker.try_again()
    assert breaker.succeeded()
    assert (breaker.state, breaker.openings, breaker.penalty) == (BreakerState.CLOSED, 0, 0)


def test_after_a_probe_one_more_harm_opens_it_for_longer() -> None:
    breaker = Breaker()
    breaker.failed(LIMIT, 0.0, 1.0)
    assert breaker.probed()
    assert breaker.state is BreakerState.CLOSED
    assert breaker.failed(1, 5.0, 1.0)
    assert breaker.until == 5.0 + 2 * FIRST_WHILE


def test_what_does_no_harm_opens_nothing() -> None:
    breaker = Breaker()
    breaker.try_again()
    assert not breaker.failed(0, 0.0, 0.0)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_the_time_out_doubles_is_bounded_and_spread(openings: int, random_fn: float) -> None:
    seconds = out_for(openings, random_fn)
    whole = min(FIRST_WHILE * 2.0 ** min(openings, 20), LONGEST_WHILE)
    assert 0.8 * whole <= seconds <= whole


@given(st.lists(st.sampled_from(["ok", "probe", "penalty", "try", "wait"]), max_size=60))
def test_a_breaker_is_open_only_after_enough_harm(events: list[str]) -> None:
    breaker, now, penalty = Breaker(), 0.0, 0
    for event in events:
        match event:
            case "ok":
                breaker.succeeded()
                penalty = 0
            case "probe":
                penalty = LIMIT if breaker.probed() else penalty
            case "penalty":
                penalty += 1
                opened = breaker.failed(1, now, 0.5)
                assert not opened or penalty >= LIMIT or breaker.openings > 1
            case "try":
                if breaker.due(now):
                    breaker.try_again()
            case _:
                now += 1.0
        assert breaker.penalty < LIMIT


# Slow start.


@given(st.floats(0, 1000))
def test_the_share_grows_from_little_to_all(age: float) -> None:
    assert MIN_SHARE <= share(age) <= share(age + 1.0) <= 1.0
    assert share(SLOW_START_SECONDS + age) == 1.0


# The budget.


@given(
    st.lists(st.sampled_from(["request", "retry", "second"]), max_size=400),
    st.floats(0, 1),
    st.floats(0, 5),
    st.floats(1, 20),
)
def test_retries_never_exceed_what_was_paid_in(
    events: list[str], ratio: float, floor: float, burst: float
) -> None:
    budget = RetryBudget(0.0, ratio=ratio, floor=floor, burst=burst)
    now, requests, retries = 0.0, 0, 0
    for event in events:
        match event:
            case "request":
                requests += 1
                budget.asked()
            case "second":
                now += 1.0
            case _:
                retries += budget.take(now)
        assert retries <= burst + ratio * requests + floor * now + 1e-6
        assert 0 <= budget.saved <= burst


def test_what_is_not_used_is_saved_up_to_the_burst() -> None:
    budget = RetryBudget(0.0, ratio=0.5, floor=0.0, burst=2.0)
    assert [budget.take(0.0) for _ in range(3)] == [True, True, False]
    budget.asked()
    assert not budget.take(0.0)
    budget.asked()
    assert budget.take(0.0)
    budget.give_back()
    assert budget.take(0.0)
    for _ in range(5):
        budget.give_back()
    assert budget.saved == 2.0


# The failure class.


def wrapped(cause: BaseException) -> EngineUnavailable:
    error = EngineUnavailable("broken")
    middle = RuntimeError("a library's own")
    middle.__context__ = cause
    error.__cause__ = middle
    return error


CASES: list[tuple[BaseException, str, bool, int]] = [
    (Cancelled("left"), "cancelled", False, 0),
    (EngineBusy("full"), "busy", True, 0),
    (EngineUnavailable("full", status=429), "busy", True, 0),
    (EngineRejected("bad"), "rejected", False, 0),
    (EngineRejected("too long", status=413), "rejected", False, 0),
    (EngineError("no", status=501), "unsupported", False, 0),
    (EngineUnavailable("loading", status=503), "not_ready", True, 1),
    (EngineTimeout("silent"), "timeout", True, 3),
    (refused(), "connect", True, LIMIT),
    (wrapped(ConnectionRefusedError()), "connect", True, LIMIT),
    (reset(), "reset", True, 3),
    (wrapped(TimeoutError()), "reset", True, 3),
    (EngineUnavailable("not JSON"), "unavailable", True, 1),
    (EngineError("failed"), "failed", True, 1),
    (RuntimeError("a bug"), "crashed", True, 1),
]


@pytest.mark.parametrize(("error", "kind", "retry", "penalty"), CASES)
def test_every_failure_has_its_treatment(
    error: BaseException, kind: str, retry: bool, penalty: int
) -> None:
    found = classify(error)
    assert (found.kind, found.retry, found.penalty) == (kind, retry, penalty)
    assert found.pause == (COOLDOWN if kind == "busy" else 0)


def test_a_circle_of_causes_is_looked_at_for_a_while_only() -> None:
    error, cause = EngineUnavailable("broken"), RuntimeError("round")
    error.__cause__, cause.__context__ = cause, cause
    assert classify(error).kind == "unavailable"


# What is said of instances and models.


@pytest.mark.parametrize(
    "make",
    [
        lambda: InstanceSpec(weight=0),
        lambda: InstanceSpec(weight=float("nan")),
        lambda: InstanceSpec(weight=float("inf")),
        lambda: InstanceSpec(max_concurrency=0),
        lambda: Timeouts(idle=0),
        lambda: Timeouts(total=float("nan")),
        lambda: HedgeAfter(),
        lambda: HedgeAfter(1.0, 95.0),
        lambda: HedgeAfter.of(0),
        lambda: HedgeAfter.of("95"),
        lambda: HedgeAfter.of("p0"),
        lambda: HedgeAfter.of("p100"),
    ],
)
def test_nonsense_is_refused_when_it_is_said(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"give|hedge_after"):
        make()


def test_a_hedge_is_seconds_or_a_percentile() -> None:
    assert HedgeAfter.of(None) is None
    assert HedgeAfter.of(2) == HedgeAfter(seconds=2.0)
    assert HedgeAfter.of("p99.5") == HedgeAfter(percentile=99.5)


# Keys.


def key(policy: PolicyName, request: Any, session: str | None = None) -> Key:
    class WithSession(Context):
        pass

    context = WithSession("r")
    if session is not None:
        object.__setattr__(context, "session", session)
    find = key_of(policy)
    assert find is not None
    return find(request, context)


def test_a_session_is_the_header_or_else_the_user() -> None:
    assert key(PolicyName.SESSION, chat(user="u")) == "u"
    assert key(PolicyName.SESSION, chat(user="u"), "s") == "s"
    assert key(PolicyName.SESSION, chat()) == ""
    assert key(PolicyName.SESSION, chat(user=7)) == ""


def test_prompts_that_begin_alike_have_one_key() -> None:
    start = "You are a helpful assistant. " * 20
    one, other = chat(start + "one"), chat(start + "other")
    assert key(PolicyName.PREFIX, one) == key(PolicyName.PREFIX, other)
    assert key(PolicyName.PREFIX, chat("short")) != key(PolicyName.PREFIX, chat("brief"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-9, 99_999) | st.text(max_size=300),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(st.sampled_from(["role", "content", "text"]), inner, max_size=3)
        ),
        max_leaves=20,
    )
)
def test_any_prompt_has_a_short_key(content: Any) -> None:
    for request in (chat("x", messages=content), complete(content)):
        assert len(key(PolicyName.PREFIX, request)) <= PREFIX_CHARACTERS


@pytest.mark.parametrize("policy", [PolicyName.LEAST_LOADED, PolicyName.ROUND_ROBIN])
def test_where_keys_make_no_difference_none_is_looked_for(policy: PolicyName) -> None:
    assert key_of(policy) is None


# First tokens.


@given(st.lists(st.floats(0, 100), min_size=1, max_size=600), st.floats(1, 99))
def test_a_percentile_is_one_of_the_last_times(times: list[float], percent: float) -> None:
    seen = LatencyWindow()
    for each in times:
        seen.observe(each)
    found = seen.percentile(percent)
    if len(times) < MIN_SAMPLES:
        assert found is None
    else:
        assert found in times[-WINDOW_SIZE:]


def test_a_percentile_follows_what_changes() -> None:
    seen = LatencyWindow()
    for _ in range(WINDOW_SIZE):
        seen.observe(1.0)
    assert seen.percentile(95) == 1.0
    for _ in range(WINDOW_SIZE):
        seen.observe(5.0)
    assert seen.percentile(95) == 5.0
