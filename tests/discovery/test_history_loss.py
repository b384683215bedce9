"""What stays although etcd does not hold it any more, and for how long."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from discovery.etcd.watch import HistoryLossGrace

V, W = (1, 1, 1), (2, 2, 2)


def test_with_the_history_intact_nothing_is_set_aside() -> None:
    grace = HistoryLossGrace(10.0)
    assert grace.sort_out({b"a": V, b"b": V}, {b"a"}, 5.0) == {b"a": V, b"b": V}
    assert (len(grace), grace.left(5.0)) == (0, math.inf)


def test_what_is_missing_stays_until_the_grace_ends_and_is_then_decided_about() -> None:
    grace = HistoryLossGrace(10.0)
    grace.history_lost(5.0)
    assert grace.sort_out({b"a": V, b"b": V}, {b"a"}, 5.0) == {b"a": V}
    assert grace.left(8.0) == 7.0
    assert grace.sort_out({b"a": W}, {b"a"}, 14.9) == {b"a": W}
    assert len(grace) == 1
    assert grace.sort_out({b"a": W}, {b"a"}, 15.0) == {b"a": W, b"b": V}
    assert (len(grace), grace.left(15.0)) == (0, math.inf)


def test_what_is_announced_again_is_no_orphan_any_more() -> None:
    grace = HistoryLossGrace(10.0)
    grace.history_lost(0.0)
    grace.sort_out({b"a": V, b"b": V}, set[bytes](), 0.0)
    grace.found(b"a")
    grace.found(b"a stranger")
    assert grace.sort_out({b"a": W}, {b"a", b"b"}, 1.0) == {b"a": W, b"b": V}
    assert len(grace) == 0


KEYS = st.sets(st.sampled_from([b"a", b"b", b"c"]))


@given(KEYS, st.lists(st.tuples(KEYS, st.booleans(), st.floats(0.0, 6.0)), max_size=10))
def test_nothing_is_forgotten_and_nothing_stays_beyond_the_grace(
    first: set[bytes], looks: list[tuple[set[bytes], bool, float]]
) -> None:
    """A listener holds ``known`` and the grace; a look decides what is deleted."""
    grace, known, now, since = HistoryLossGrace(10.0), dict.fromkeys(first, V), 0.0, -math.inf
    held = set(first)
    for seen, lost, pause in looks:
        now += pause
        if lost:
            grace.history_lost(now)
            since = now
        decided = grace.sort_out(known, seen, now)
        gone = set(decided) - seen
        assert not gone or now >= since + 10.0
        held = (held - gone) | seen
        known = dict.fromkeys(seen, V)
        assert len(held) == len(known) + len(grace)
        assert now < since + 10.0 or not len(grace)
