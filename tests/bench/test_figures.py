"""The benchmarks of discovery and of pools: that each prints its figures; never how fast."""

from __future__ import annotations

import sys

import pytest

from actors.engines.pool import PolicyName
from tests.bench import discovery
from tests.bench.__main__ import main
from tests.bench.pools import ROUNDS, Instant, added, pool_of


def test_every_figure_is_measured_to_the_door_and_with_the_real_registry(
    capsys: pytest.CaptureFixture[str],
) -> None:
    discovery.main(["--puts", "10", "--entries", "300", "--rate", "200", "--seconds", "0.5"])
    printed = capsys.readouterr().out
    for figure in ("put -> ", "snapshot 300", "changes/s", "UpstreamEngine"):
        assert figure in printed
    assert printed.count("to the door") == printed.count("real registry") == 3


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
