"""For the tests of programs that use ``actors``: time that stands still, and gates for races."""

from actors.testing.clock import FakeClock
from actors.testing.gates import Gate, GateTimeout, held

__all__ = ["FakeClock", "Gate", "GateTimeout", "held"]
