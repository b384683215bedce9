"""For tests of programs that use ``actors``: time that stands still, and gates for races.

Faults to inject, into any program, are in :mod:`actors.testing.faults`.
"""

from actors.testing.clock import FakeClock
from actors.testing.gates import Gate, GateTimeout, held

__all__ = ["FakeClock", "Gate", "GateTimeout", "held"]
