"""Timers fire in order, once, never early; deadlines move without touching the heap."""

from __future__ import annotations

from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from actors.eventloop.timers import TimerHandle, Timers


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fire(timers: Timers, now: float) -> None:
    while (callback := timers.pop_due(now)) is not None:
        callback()


moments = st.integers(0, 20).map(float)


@given(st.lists(moments))
def test_timers_fire_in_the_order_of_their_times_then_of_their_making(times: list[float]) -> None:
    timers, fired = Timers(), list[tuple[float, int]]()
    for made, when in enumerate(times):
        timers.add(when, partial(fired.append, (when, made)))
    fire(timers, 100.0)
    assert fired == sorted(fired)
    assert len(fired) == len(times)


@given(st.lists(moments), moments)
def test_no_timer_fires_early_and_none_is_left_late(times: list[float], now: float) -> None:
    timers, fired = Timers(), list[float]()
    for when in times:
        timers.add(when, partial(fired.append, when))
    fire(timers, now)
    assert sorted(fired) == sorted(when for when in times if when <= now)
    assert timers.next_at() == min((when for when in times if when > now), default=None)


class Model(RuleBasedStateMachine):
    """Timers against a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.timers = Timers()
        self.now = 0.0
        self.expected: dict[int, float] = {}
        self.made: dict[int, TimerHandle] = {}
        self.fired: list[int] = []

    @rule(after=moments)
    def add(self, after: float) -> None:
        name = len(self.made)
        self.expected[name] = self.now + after
        self.made[name] = self.timers.add(self.now + after, partial(self.fired.append, name))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.made:
            name = data.draw(st.sampled_from(sorted(self.made)))
            self.made[name].cancel()
            self.expected.pop(name, None)

    @rule(many=st.integers(60, 150))
    def cancel_many(self, many: int) -> None:
        for timer in [self.timers.add(self.now + 1000, lambda: None) for _ in range(many)]:
            timer.cancel()

    @rule(after=moments)
    def pass_time(self, after: float) -> None:
        self.now += after
        self.fired.clear()
        fire(self.timers, self.now)
        due = [name for name, when in self.expected.items() if when <= self.now]
        assert self.fired == sorted(due, key=lambda name: (self.expected[name], name))
        for name in due:
            del self.expected[name]

    @invariant()
    def counts_those_that_are_left(self) -> None:
        assert len(self.timers) == len(self.expected)
        assert self.timers.next_at() == min(self.expected.values(), default=None)


TestAgainstAPlainList = Model.TestCase


def test_cancelled_timers_do_not_pile_up() -> None:
    timers = Timers()
    keep = timers.add(1.0, lambda: None)
    for _ in range(10_000):
        timers.add(2.0, lambda: None).cancel()
    heap = timers._heap  # pyright: ignore[reportPrivateUsage]  # memory shows nowhere else
    assert len(heap) < 200
    assert keep.callback is not None
