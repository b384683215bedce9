"""The pools' benchmark itself: that it runs and prints each figure; never how fast."""

from __future__ import annotations

import sys

import pytest

from actors.engines.pool import PolicyName
from tests.bench.__main__ import main
from tests.bench.pools import ROUNDS, Instant, added, pool_of


@pytest.mark.parametrize("policy", PolicyName)
def test_what_a_pool_adds_is_measured_beside_its_engine_alone(policy: PolicyName) -> None:
    pool = pool_of(3, policy)
    assert isinstance(added(pool, Instant(), 5), float)
    asked = sum(each.selections for each in pool.view().instances)
    assert asked == 100 + ROUNDS * 5


def test_make_bench_runs_the_parts_that_are_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["bench", "pools", "--requests", "20", "--count", "20", "adding", "balance"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert main() == 0
    printed = capsys.readouterr().out
    for figure in ("added one by one", "instances of one model", "10 times slower", "least_loaded"):
        assert figure in printed
