"""Servers that start up are not there yet; those that have answered once have failed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.engines import (
    EngineError,
    EngineUnavailable,
)
from actors.engines.pool import ModelSpec, PolicyName, Pool
from actors.engines.pool.health_check import INTERVAL
from actors.testing import FakeClock
from tests.engines.pool.fakes import (
    Heard,
    Probed,
    Scripted,
    failing,
    pool_on,
    refused,
    reset,
    start,
    status,
    well,
)


@pytest.fixture
def pool(clock: FakeClock, heard: Heard) -> Pool:
    return pool_on(clock, ModelSpec(policy=PolicyName.ROUND_ROBIN), listener=heard)


@pytest.mark.parametrize("instances", [1, 3])
def test_where_no_instance_has_ever_answered_the_client_is_asked_to_come_again(
    instances: int, pool: Pool
) -> None:
    """Their servers start up."""
    for number in range(instances):
        pool.put(str(number), Scripted(failing(refused)))
    error = start(pool).error
    assert isinstance(error, EngineUnavailable)
    assert (error.status, error.retry_after) == (503, 1)


def test_once_an_instance_has_answered_its_failure_is_a_failure(pool: Pool) -> None:
    engine = Scripted(well)
    pool.put("a", engine)
    assert start(pool).ends == ["finish"]
    engine.script = failing(refused)
    error = start(pool).error
    assert isinstance(error, EngineUnavailable)
    assert error.status == 502


def test_an_instance_that_answered_a_probe_has_answered(pool: Pool, clock: FakeClock) -> None:
    engine = Probed(None)
    pool.put("a", engine)
    clock.advance(INTERVAL)
    recorded = start(pool)
    engine.last.sink.fail(refused())
    error = recorded.error
    assert isinstance(error, EngineUnavailable)
    assert error.status == 502


@pytest.mark.parametrize(("failure", "code"), [(status(500), 500), (reset, 502)])
def test_a_server_that_answers_with_an_error_or_breaks_off_is_up(
    failure: Callable[[], EngineError], code: int, pool: Pool
) -> None:
    pool.put("a", Scripted(failing(failure)))
    error = start(pool).error
    assert isinstance(error, EngineUnavailable)
    assert error.status == code
