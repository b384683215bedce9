"""Every error of this package: whose fault it is, and a text that may be shown to anyone.

Nothing of grpc leaks out of ``discovery.etcd.client``; it raises these instead. ``summary`` goes
into ``/health`` and ``/ready``; ``str(error)`` names addresses and goes into the log only.
"""

from __future__ import annotations

from actors.supervision.errors import ActorsError

__all__ = ["DiscoveryError", "EntryUnusable", "SourceEnded"]


class DiscoveryError(ActorsError):
    """The base of every error of this package; never raised itself."""


class SourceEnded(DiscoveryError):
    """A blocking loop returned or failed although nobody asked it to stop: a bug, so crash."""


class EntryUnusable(DiscoveryError):
    """An engine factory can't serve an entry here; the text is the quarantine's reason.

    It is shown to operators, in ``/health`` and the log. Of any other exception only the type is.
    """
