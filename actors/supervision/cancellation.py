"""A tree of cancellation tokens, with the semantics of tokio-util's ``CancellationToken``.

Invariants, each tested under its name:

1. *Downwards only*: cancelling a token cancels all its descendants and never its parent.
2. *Complete on return*: when ``cancel()`` returns, every descendant is cancelled. While it runs, a
   reader may see one child cancelled and another not yet.
3. *Exactly once*: each callback runs once, outside every lock, on the thread that cancels; one that
   raises is logged and stops no other.
4. *No leak*: a parent holds its children weakly, so a token per request costs nothing once dropped.
   A child that somebody listens to or waits on is pinned in its parent until that ends.

Lock order: parent before child, which is the order of creation, so no cycle is possible.
"""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self

from actors.supervision.errors import Cancelled
from actors.supervision.foreign import call_each

__all__ = ["CancellationToken", "DropGuard", "Registration"]

_log = logging.getLogger("actors.cancellation")

Callback = Callable[[], object]


class CancellationToken:
    """Says "stop" once, to everything below it in the tree; irrevocable.

    Share the object itself where Rust would clone it; call :meth:`child` for a part that may be
    stopped alone. Every method may be called from any thread; from a signal handler use only what
    :meth:`signal_safe_cancel` returned.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_cancelled",
        "_children",
        "_lock",
        "_parent",
        "_pins",
    )

    def __init__(self) -> None:
        self._lock: Final = threading.Lock()
        self._cancelled = False
        self._parent: CancellationToken | None = None
        # PERF: both made on first use; most tokens belong to one request and have no children.
        self._children: weakref.WeakSet[CancellationToken] | None = None
        # Children somebody listens to: held strongly, or their callbacks would die unheard.
        self._pins: set[CancellationToken] | None = None
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
        with self._lock:
            if self._cancelled:
                token._cancelled = True
            else:
                token._parent = self
                if self._children is None:
                    self._children = weakref.WeakSet()
                self._children.add(token)
        return token

    def cancel(self) -> None:
        """Cancel this token and all its descendants; idempotent.

        Descendants come first, this token last; callbacks run after that, on this thread.
        """
        _call(self._mark())

    def signal_safe_cancel(self) -> Callable[[], None]:
        """A function that a signal handler may call to cancel this token.

        The interrupted main thread may hold a token's lock, so a handler must take none: the
        function only puts into a ``SimpleQueue`` (re-entrant by its documentation) and the daemon
        thread started here cancels.
        """
        bell: queue.SimpleQueue[None] = queue.SimpleQueue()

        def cancel_when_rung() -> None:
            bell.get()
            self.cancel()

        threading.Thread(target=cancel_when_rung, name="canceller", daemon=True).start()
        return lambda: bell.put(None)

    def wait(self, timeout: float | None = None) -> bool:
        """Block until cancelled or until ``timeout`` seconds passed; tell which."""
        if self._cancelled:
            return True
        event = threading.Event()
        with self.on_cancel(event.set):
            return event.wait(timeout)

    def raise_if_cancelled(self) -> None:
        """Raise :class:`Cancelled` if this token is cancelled."""
        if self._cancelled:
            raise Cancelled("the work was cancelled")

    def on_cancel(self, callback: Callback) -> Registration:
        """Call ``callback()`` exactly once, when cancelled; at once if that already happened."""
        registration = Registration(self)
        with self._lock:
            if not self._cancelled:
                self._callbacks[registration] = callback
                first = len(self._callbacks) == 1
                callback = _nothing
            else:
                first = False
        if first:
            self._pin()
        if callback is not _nothing:
            _call((callback,))
        return registration

    def guard(self) -> DropGuard:
        """A context manager that cancels this token on leaving, unless disarmed."""
        return DropGuard(self)

    def _mark(self) -> list[Callback]:
        """Mark the subtree cancelled, descendants first; return their callbacks in that order."""
        with self._lock:
            if self._cancelled:
                return []
            callbacks: list[Callback] = []
            for child in [*(self._children or ())]:
                callbacks += child._mark()
            self._cancelled = True
            callbacks += self._callbacks.values()
            self._callbacks.clear()
            self._pins = self._children = self._parent = None
            return callbacks

    def _pin(self) -> None:
        """Have the ancestors hold this token: somebody listens to it."""
        token, parent = self, self._parent
        while parent is not None:
            with parent._lock:
                if parent._pins is None:
                    parent._pins = set()
                if parent._cancelled or token in parent._pins:
                    return
                parent._pins.add(token)
            token, parent = parent, parent._parent

    def _unpin(self) -> None:
        """Let go again, upwards as far as nobody else listens."""
        token, parent = self, self._parent
        while parent is not None:
            with parent._lock:
                with token._lock:
                    if token._callbacks or token._pins:
                        return
                if parent._pins is not None:
                    parent._pins.discard(token)
            token, parent = parent, parent._parent

    def _forget(self, registration: Registration) -> bool:
        with self._lock:
            if self._callbacks.pop(registration, None) is None:
                return False
            last = not self._callbacks
        if last:
            self._unpin()
        return True


class Registration:
    """One callback's place on a token; a context manager that unregisters on leaving."""

    __slots__ = ("_token",)

    def __init__(self, token: CancellationToken) -> None:
        self._token = token

    def unregister(self) -> bool:
        """Take the callback back. False if it already ran, runs now, or was taken back before."""
        return self._token._forget(self)  # pyright: ignore[reportPrivateUsage]  # one concept, one file

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.unregister()


class DropGuard:
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


def _nothing() -> None:
    """Stand for "registered, nothing to call now"."""


def _call(callbacks: Iterable[Callback]) -> None:
    call_each(callbacks, log=_log, complaint="a cancellation callback failed; the others go on")
