"""One pool whose instances take turns, on a clock that stands still."""

from __future__ import annotations

import pytest

from actors.engines.pool import Pool
from actors.testing import FakeClock
from tests.engines.pool.fakes import BY_TURNS, Heard, pool_on


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def pool(clock: FakeClock, heard: Heard) -> Pool:
    return pool_on(clock, BY_TURNS, listener=heard)
