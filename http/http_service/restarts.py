"""How many restarts are borne before a tree gives up: one rule for all trees of the service."""

from __future__ import annotations

from typing import Final

__all__ = ["INTENSITY", "PERIOD"]

INTENSITY: Final = 100
"""Restarts within :data:`PERIOD`.

Far above OTP's one in five seconds: a restart here costs microseconds and loses nothing, while
giving up ends every request in flight. A part that can't live at all still uses it up at once.
"""

PERIOD: Final = 10.0
"""Seconds over which restarts are counted."""
