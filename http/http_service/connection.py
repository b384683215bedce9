"""The connection that a request came on, and how its answer is left to it.

WSGI wants a response to be iterated by the thread that called the application. Our server puts the
connection into the request's environment, under :data:`KEY`, and nothing else: a resource whose
answer is still to come hands :meth:`Connection.take_over` who will write it, and is done. Under any
other WSGI server the key is missing, and the resource waits for the answer itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from actors.eventloop import EventLoop

__all__ = ["HANDED_OFF", "KEY", "Connection", "ResponseWriter"]

KEY: Final = "http_service.connection"
"""Where the :class:`Connection` is in a request's environment."""


class _HandedOff:
    """An empty body."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


HANDED_OFF: Final[Iterable[bytes]] = _HandedOff()
"""What WSGI gets for a body while the connection has the response written."""


class ResponseWriter(Protocol):
    """Who writes one response to a connection; on the loop's thread."""

    def begin(self, version: str, headers: list[tuple[str, str]], *, close: bool) -> None:
        """The application has returned: write from now on, these headers first.

        ``version`` is the client's version of HTTP; ``close``: the connection ends with this.
        """
        ...

    def client_left(self) -> None:
        """The connection is gone."""
        ...

    def sent(self, unsent: int) -> None:
        """The socket took some of what was kept; ``unsent`` bytes are left."""
        ...


class Connection(Protocol):
    """One client's connection, with a request that is being answered; the loop's thread only,
    but for what says otherwise."""

    @property
    def loop(self) -> EventLoop:
        """The event loop that it is on. Any thread."""
        ...

    @property
    def draining(self) -> bool:
        """Whether the connection is to end with the response that is being written."""
        ...

    def whole_body(self) -> bytes:
        """The request's body, all of it. Any thread."""
        ...

    def hold(self, size: int) -> bool:
        """Whether ``size`` bytes more may be held for this request, until it is over. Any thread.

        For what a compressed body came to.
        """
        ...

    def take_over(self, writer: ResponseWriter) -> Iterable[bytes]:
        """Have ``writer`` write the response; what to give to WSGI for a body. Any thread."""
        ...

    def run_on_worker(self) -> Iterable[bytes]:
        """Run the request again, from its beginning, on a thread that may wait; as above."""
        ...

    def park(self, seconds: float) -> Iterable[bytes] | None:
        """Run the request again, from its beginning, on the loop and in a moment; as above.

        ``None`` once it has waited for so many ``seconds``: then it is to be answered.
        """
        ...

    def send_now(self, data: bytes) -> int:
        """Send what the socket takes, keep the rest; how much is unsent. Raises ``ClientGone``."""
        ...

    def resume(self, *, close: bool) -> None:
        """The response is complete: close, or go on with the next request."""
        ...

    def drop(self) -> None:
        """Close at once, whatever is unsent."""
        ...
