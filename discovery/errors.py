"""Every error of this package: whose fault it is, and a text that may be shown to anyone.

Nothing of grpc leaks out of ``discovery.etcd_client``; it raises these instead. ``summary`` goes
into ``/health`` and ``/ready``; ``str(error)`` names addresses and goes into the log only.
"""

from __future__ import annotations

from actors.supervision.errors import ActorsError

__all__ = [
    "DiscoveryError",
    "EntryUnusable",
    "EtcdCanceled",
    "EtcdCompacted",
    "EtcdError",
    "EtcdPlanned",
    "EtcdRefused",
    "EtcdTokenStale",
    "EtcdTooLarge",
    "EtcdUnavailable",
    "LeaseGone",
    "SourceEnded",
]


class DiscoveryError(ActorsError):
    """The base of every error of this package; never raised itself."""


class SourceEnded(DiscoveryError):
    """A blocking loop returned or failed although nobody asked it to stop: a bug, so crash."""


class EntryUnusable(DiscoveryError):
    """An engine factory can't serve an entry here; the text is the quarantine's reason.

    It is shown to operators, in ``/health`` and the log. Of any other exception only the type is.
    """


class EtcdError(DiscoveryError):
    """The base of everything that a conversation with etcd can end with.

    ``summary`` is one clause without addresses or names; ``str(self)`` adds the detail.
    """

    def __init__(self, summary: str, detail: str = "") -> None:
        super().__init__(f"{summary}: {detail}" if detail else summary)
        self.summary = summary


class EtcdUnavailable(EtcdError):
    """Nobody's fault: etcd is down, frozen, leaderless, or the network is. Try again later."""


class EtcdRefused(EtcdError):
    """Ours or the operator's fault: etcd understood and said no (authentication, limits)."""


class EtcdTokenStale(EtcdRefused):
    """The token that once let us in is not valid any more. Get another one."""


class EtcdTooLarge(EtcdRefused):
    """The answer was larger than we accept. Ask for less at a time."""


class EtcdCompacted(EtcdError):
    """The history that the watch asked for is gone. Take a new snapshot."""


class EtcdCanceled(EtcdError):
    """etcd ended the watch on its own account. Take a new snapshot."""


class EtcdPlanned(EtcdError):
    """The watch reached its planned age. Take a new snapshot; nothing is wrong."""


class LeaseGone(EtcdError):
    """The lease expired or was revoked; its keys are gone. Grant a new one and put them again."""
