"""The fault-injection suite: every failure we claim to survive, injected, asserted, measured.

``python -m tests.faults --help`` runs it. What happened is :mod:`evidence`; whether that is what
was promised is decided by pure functions (:mod:`invariants`, :mod:`judge`); :mod:`engine` has the
effects. A scenario is a record in ``rows/``, one file a family.
"""
