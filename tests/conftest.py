"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The machine may be busy: how long an example takes says nothing about the code under test.
settings.register_profile(
    "callboard", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("callboard")
