"""Where the service stands between its start and its end, readable from any thread."""

from __future__ import annotations

from actors.supervision.cancellation import CancellationToken

__all__ = ["Lifecycle"]


class Lifecycle:
    """Says whether the service takes new work.

    Draining begins as soon as the service's token is cancelled, so that readiness turns before
    anything is closed, and never goes back.
    """

    def __init__(self) -> None:
        self._token = CancellationToken()

    def follow(self, token: CancellationToken) -> None:
        """Drain when ``token`` is cancelled."""
        self._token = token

    @property
    def ending(self) -> bool:
        """Whether the service ends for good: its token was cancelled."""
        return self._token.cancelled

    @property
    def draining(self) -> bool:
        """Whether new work is refused."""
        return self._token.cancelled
