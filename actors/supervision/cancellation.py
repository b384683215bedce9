"""A tree of cancellation tokens, with the semantics of tokio-util's ``CancellationToken``.

Invariants, each tested under its name:

1. *Downwards only*: cancelling a token cancels all its descendants and never its parent.
2. *Complete on return*: when ``cancel()`` returns, every descendant is cancelled. While it runs, a
   reader may see one child cancelled and another not yet.
3. *Exactly once*: each callback runs once, on the thread that cancels; one that raises is logged
   and stops no other.
4. *No leak*: a parent holds its children weakly, so a token per request costs nothing once dropped.
   A child with a callback or a waiting thread is pinned in its parent until that ends.
5. *No lock*: a finalizer that runs within any call may make any other. Each step is one operation
   of a dict, and writes come before the reads that others' writes may have to be seen by.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from actors.supervision.errors import Cancelled
from actors.supervision.lifecycle import Latch
from actors.supervision.user_code import Handle, call_all, check_callable, check_seconds

__all__ = ["CancellationToken", "DropGuard", "Registration"]

_log = logging.getLogger("actors.cancellation")

Callback = Callable[[], object]


class CancellationToken(Handle):
    """Says "stop" once, to everything below it in the tree; irrevocable.

    Share the object itself where Rust would clone it; call :meth:`child` for a part that may be
    stopped alone. Every method may be called from any thread and from a finalizer; from a signal
    handler call only what :meth:`signal_safe_cancel` returned, because callbacks may take locks.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_cancelled",
        "_cancelling",
        "_children",
        "_parent",
        "_pinned",
    )

    def __init__(self) -> None:
        self._cancelled = False
        self._cancelling = False
        self._parent: CancellationToken | None = None
        self._children: dict[_Link, None] = {}
        # Children with callbacks: held strongly, or the callbacks would be lost with them.
        self._pinned: dict[CancellationToken, None] = {}
        self._callbacks: dict[Registration, Callback] = {}

    def __repr__(self) -> str:
        state = "cancelled" if self._cancelled else "live"
        return f"<CancellationToken {state} at {id(self):#x}>"

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` reached this token. One attribute load; never goes back."""
        return self._cancelled

    def child(self) -> CancellationToken:
        """A new token, cancelled with this one and never the reverse.

        The child of a cancelled token is born cancelled.
        """
        token = CancellationToken()
        token._parent = self
        link = _Link(token, _unlink)
        link.links = self._children
        self._children[link] = None
        if self._cancelling:  # else the cancelling thread looks for children after this
            token._cancelling = token._cancelled = True
            token._parent = None
        return token

    def cancel(self) -> None:
        """Cancel this token and all its descendants; idempotent.

        Descendants come first, this token last; callbacks run after that, on this thread.
        """
        if not self._cancelled:
            parent = self._parent
            _call(self._mark())
            if parent is not None:
                parent._unpin(self)

    def signal_safe_cancel(self) -> Callable[[], None]:
        """A function that a signal handler may call to cancel this token.

        The interrupted main thread may hold a lock that a callback wants: the function only puts
        into a ``SimpleQueue`` (re-entrant by its documentation) and the daemon thread started here
        cancels.
        """
        bell: queue.SimpleQueue[None] = queue.SimpleQueue()

        def cancel_when_rung() -> None:
            bell.get()
            self.cancel()

        threading.Thread(target=cancel_when_rung, name="canceller", daemon=True).start()
        return lambda: bell.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until cancelled or until ``timeout`` seconds passed; return which."""
        if timeout is not None:
            check_seconds("CancellationToken.wait: timeout", timeout)
        if self._cancelled:
            return True
        latch = Latch()
        with self.on_cancel(latch.set):
            return latch.wait(timeout)

    def raise_if_cancelled(self) -> None:
        """Raise :class:`Cancelled` if this token is cancelled."""
        if self._cancelled:
            raise Cancelled("the work was cancelled")

    def on_cancel(self, callback: Callback) -> Registration:
        """Call ``callback()`` exactly once, when cancelled; at once if that already happened."""
        if not callable(callback):  # an async one is refused when it is called: it costs less
            check_callable("on_cancel", callback)
        registration = Registration()
        registration._token = self  # pyright: ignore[reportPrivateUsage]  # one concept, one file
        self._callbacks[registration] = callback
        if self._cancelled:
            if self._callbacks.pop(registration, None) is not None:
                _call((callback,))
        elif self._parent is not None:
            self._pin()
        return registration

    def guard(self) -> DropGuard:
        """A context manager that cancels this token on leaving, unless disarmed."""
        return DropGuard(self)

    def _mark(self) -> list[Callback]:
        """Mark the subtree cancelled, descendants first; return their callbacks in that order.

        Of two threads that cancel at once each marks everything, so both return with it done; a
        callback is called by the one that takes it.
        """
        found = [self]
        for token in found:  # grows while it is walked, parents before children
            token._cancelling = True
            below = (link() for link in [*token._children])
            found += [each for each in below if each is not None and not each._cancelled]
        taken: list[Callback | None] = []
        for token in reversed(found):
            token._cancelled = True
            taken += [token._callbacks.pop(each, None) for each in [*token._callbacks]]
            token._children.clear()
            token._pinned.clear()
            token._parent = None
        return [callback for callback in taken if callback is not None]

    def _pin(self) -> None:
        """Have the ancestors hold this token: it has a callback."""
        token, parent = self, self._parent
        while parent is not None and token not in parent._pinned:
            parent._pinned[token] = None
            if parent._cancelled or token._cancelled:  # no callback is called any more
                parent._pinned.pop(token, None)
            token, parent = parent, parent._parent

    def _unpin(self, token: CancellationToken) -> None:
        """Release ``token`` again, and its ancestors as long as they have no callbacks either."""
        holder: CancellationToken | None = self
        while holder is not None and not (token._callbacks or token._pinned):
            holder._pinned.pop(token, None)
            if token._callbacks or token._pinned:  # a callback was added meanwhile
                token._pin()
                return
            token, holder = holder, holder._parent


class _Link(weakref.ref[CancellationToken]):
    """A parent's weak hold on a child; it leaves the parent's ``links`` when the child goes."""

    __slots__ = ("links",)
    links: dict[_Link, None]


def _unlink(link: _Link) -> None:
    link.links.pop(link, None)


class Registration(Handle):
    """One callback's place on a token; a context manager that unregisters on leaving."""

    __slots__ = ("_token",)
    _token: CancellationToken  # PERF: set by on_cancel; an __init__ would be a call more

    def unregister(self) -> bool:
        """Take the callback back. False if it already ran, runs now, or was taken back before."""
        token = self._token
        if token._callbacks.pop(self, None) is None:  # pyright: ignore[reportPrivateUsage]  # one concept, one file
            return False
        parent = token._parent  # pyright: ignore[reportPrivateUsage]  # likewise
        if parent is not None:
            parent._unpin(token)  # pyright: ignore[reportPrivateUsage]  # likewise
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.unregister()


class DropGuard(Handle):
    """Cancels its token when the ``with`` block ends, however it ends."""

    __slots__ = ("_armed", "token")

    def __init__(self, token: CancellationToken) -> None:
        self.token = token
        self._armed = True

    def disarm(self) -> CancellationToken:
        """Leave the token alone after all, and hand it back."""
        self._armed = False
        return self.token

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._armed:
            self.token.cancel()


def _call(callbacks: Iterable[Callback]) -> None:
    call_all(callbacks, log=_log, error_message="a cancellation callback failed; the others go on")
