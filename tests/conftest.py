"""Settings of the whole suite."""

from __future__ import annotations

import signal

import pytest
from hypothesis import HealthCheck, settings

# The machine may be busy: how long an example takes says nothing about the code under test.
settings.register_profile(
    "callboard", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("callboard")


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_works() -> None:  # pyright: ignore[reportUnusedFunction]  # pytest finds it
    """Handle SIGINT, whatever the shell did: one that starts a job in the background ignores it.

    An ignored signal stays ignored in every program that the tests start; a handled one does not.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
