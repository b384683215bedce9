"""The token tree keeps its four invariants, each under its name."""

from __future__ import annotations

import gc
import signal
import threading
import weakref
from functools import partial
from typing import Any

import pytest

from actors import CancellationToken, Cancelled
from tests.supervision.subjects import WAIT, Boom, Journal


def test_cancelling_goes_downwards_only() -> None:
    root = CancellationToken()
    middle = root.child()
    leaf, other = middle.child(), root.child()
    middle.cancel()
    assert [token.cancelled for token in (root, middle, leaf, other)] == [False, True, True, False]


def test_when_cancel_returns_every_descendant_is_cancelled() -> None:
    root = CancellationToken()
    tokens = [root]
    for _ in range(50):
        tokens.append(tokens[-1].child())
        tokens.append(root.child())
    root.cancel()
    assert all(token.cancelled for token in tokens)


def test_the_child_of_a_cancelled_token_is_born_cancelled() -> None:
    root = CancellationToken()
    root.cancel()
    assert root.child().cancelled


def test_descendants_are_called_first_and_each_callback_once() -> None:
    root, seen = CancellationToken(), Journal()
    child = root.child()
    root.on_cancel(lambda: seen.add("root"))
    child.on_cancel(lambda: seen.add("child"))
    root.cancel()
    root.cancel()
    child.cancel()
    assert seen.entries == ["child", "root"]


def test_a_callback_registered_too_late_is_called_at_once() -> None:
    token, seen = CancellationToken(), Journal()
    token.cancel()
    registration = token.on_cancel(lambda: seen.add("called"))
    assert seen.entries == ["called"]
    assert not registration.unregister()


def test_a_callback_that_raises_stops_no_other() -> None:
    token, seen = CancellationToken(), Journal()

    def bad() -> None:
        raise Boom

    token.on_cancel(bad)
    token.on_cancel(lambda: seen.add("called"))
    token.cancel()
    assert seen.entries == ["called"]


def test_a_callback_runs_outside_every_lock() -> None:
    token = CancellationToken()
    seen: list[bool] = []
    token.on_cancel(lambda: seen.append(token.child().cancelled))
    token.on_cancel(lambda: token.on_cancel(lambda: seen.append(True)))
    token.cancel()
    assert seen == [True, True]


def test_an_unregistered_callback_is_never_called() -> None:
    token = CancellationToken()
    registration = token.on_cancel(lambda: pytest.fail("called"))
    assert registration.unregister()
    assert not registration.unregister()
    token.cancel()


def test_a_dropped_child_is_forgotten_by_its_parent() -> None:
    root = CancellationToken()
    dropped = weakref.ref(root.child())
    gc.collect()
    assert dropped() is None


def test_a_dropped_child_that_somebody_listens_to_is_kept_until_that_ends() -> None:
    root, seen = CancellationToken(), Journal()
    kept = root.child().child()
    registration = kept.on_cancel(lambda: seen.add("first"))
    forgotten = weakref.ref(kept)
    del kept
    gc.collect()
    assert forgotten() is not None
    registration.unregister()
    del registration
    gc.collect()
    assert forgotten() is None
    root.child().child().on_cancel(lambda: seen.add("second"))
    gc.collect()
    root.cancel()
    assert seen.entries == ["second"]


def test_waiting_ends_with_the_cancellation_or_with_the_timeout() -> None:
    token, waited = CancellationToken(), Journal()
    assert not token.wait(timeout=0)
    thread = threading.Thread(target=lambda: waited.add(token.wait(timeout=WAIT)))
    thread.start()
    token.cancel()
    assert waited.wait_for(1) == [True]
    thread.join(WAIT)
    assert token.wait(timeout=0)


def test_a_guard_cancels_however_its_block_ends_unless_disarmed() -> None:
    token = CancellationToken()
    with pytest.raises(Boom), token.guard():
        raise Boom
    assert token.cancelled
    spared = CancellationToken()
    with spared.guard() as guard:
        assert guard.disarm() is spared
    assert not spared.cancelled


def test_cancelled_work_is_told_by_an_exception() -> None:
    token = CancellationToken()
    token.raise_if_cancelled()
    token.cancel()
    with pytest.raises(Cancelled):
        token.raise_if_cancelled()


def test_a_signal_handler_may_ring_in_the_middle_of_a_call() -> None:
    token, other = CancellationToken(), CancellationToken()
    ring = token.signal_safe_cancel()
    before = signal.signal(signal.SIGUSR1, lambda _number, _frame: ring())
    try:
        other.on_cancel(lambda: signal.raise_signal(signal.SIGUSR1))
        other.cancel()
        assert token.wait(timeout=WAIT)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_chain_of_ten_thousand_tokens_is_cancelled_from_its_root() -> None:
    root, seen = CancellationToken(), Journal()
    chain = [root]
    for number in range(10_000):
        chain.append(chain[-1].child())
        if number % 1000 == 0:
            chain[-1].on_cancel(partial(seen.add, number))
    root.cancel()
    assert all(token.cancelled for token in chain)
    assert seen.entries == [*range(9000, -1, -1000)]


def test_a_listener_at_the_end_of_a_long_chain_comes_and_goes() -> None:
    root, seen = CancellationToken(), Journal()
    leaf = root
    for _ in range(10_000):
        leaf = leaf.child()
    registration = leaf.on_cancel(lambda: seen.add("first"))
    kept = weakref.ref(leaf)
    del leaf
    gc.collect()
    assert kept() is not None
    assert registration.unregister()
    del registration
    gc.collect()
    assert kept() is None
    root.cancel()
    assert seen.entries == []


def test_a_cancelled_token_is_held_by_nobody_however_it_was_listened_to() -> None:
    root = CancellationToken()
    token = root.child().child()
    token.on_cancel(lambda: None)
    token.cancel()
    gone = weakref.ref(token)
    del token
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("callback", [None, "cancel", 3])
def test_what_can_not_be_called_is_refused_where_it_is_registered(callback: Any) -> None:
    with pytest.raises(TypeError, match=r"on_cancel: .* is not callable"):
        CancellationToken().on_cancel(callback)


def test_two_threads_that_cancel_at_once_both_return_with_all_of_it_cancelled() -> None:
    for _ in range(200):
        root, calls = CancellationToken(), Journal()
        tokens = [root]
        for _ in range(20):
            tokens.append(tokens[-1].child())
            tokens[-1].on_cancel(lambda calls=calls: calls.add(1))  # type: ignore[misc]  # a default binds it
        begin, left = threading.Barrier(2), Journal()

        def cancel(
            begin: threading.Barrier = begin, tokens: Any = tuple(tokens), left: Journal = left
        ) -> None:
            begin.wait(WAIT)
            tokens[0].cancel()
            left.add([token for token in tokens if not token.cancelled])

        threads = [threading.Thread(target=cancel) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        assert left.entries == [[], []]
        assert len(calls.entries) == 20
