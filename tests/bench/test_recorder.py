"""What the console keeps is bounded, whatever happens; and its bench runs."""

from __future__ import annotations

from tests.bench.recorder import added, kept_bytes

BUDGET = 6 * 1024 * 1024


def test_all_that_is_kept_is_within_its_budget_when_it_is_full() -> None:
    kept = kept_bytes()
    assert sum(kept.values()) <= BUDGET, kept


def test_the_books_of_a_request_are_timed_in_all_ways() -> None:
    assert {*added(1)} == {"plain", "unwatched", "watched"}
