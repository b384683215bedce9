"""Faults between actors: answers that get lost or come late, floods, no threads left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from actors.testing.faults.fault import Fault, FaultUnavailable, Patch

__all__ = ["Flood", "LateReply", "LostReply", "ThreadExhaustion"]

_WRITERS: Final = ("set", "set_exception", "settle", "fail")
"""What an actor may call to answer: Pykka's two names, and this library's own."""


class _ReplyFault(Fault):
    """Stands at an actor's inbox and tampers with where its answers go; each is counted."""

    def __init__(
        self,
        ref: Any,
        when: Callable[[Any], bool] | None,
        times: int | None,
        **parameters: object,
    ) -> None:
        super().__init__(actor=str(ref), times=times, **parameters)
        inbox = getattr(ref, "actor_inbox", None)
        self._patch = Patch(inbox, "put", self._tampered)
        self._of_no_ref = "" if inbox is not None else repr(ref)
        self._when = when or _any_message
        self._left = times
        self._counting = threading.Lock()

    def _inject(self) -> None:
        if self._of_no_ref:
            raise FaultUnavailable(f"{self._of_no_ref} has no actor_inbox, as a Pykka ref has")
        self._patch.put()

    def _heal(self) -> None:
        self._patch.remove()

    def _tampered(self, put: Any, envelope: Any, *arguments: Any, **named: Any) -> Any:
        reply = getattr(envelope, "reply_to", None)  # only an envelope of Pykka's has one
        if reply is not None and self._when(envelope.message) and self._take():
            self._tamper(reply)
        return put(envelope, *arguments, **named)

    def _take(self) -> bool:
        with self._counting:
            if self._left == 0:
                return False
            if self._left is not None:
                self._left -= 1
            self.happened += 1
            return True

    def _tamper(self, reply: Any) -> None:
        raise NotImplementedError


class LostReply(_ReplyFault):
    """The message is handled, and its answer never arrives.

    Imitates a handler that forgets its callback, or a network that loses the way back. ``ref`` is
    the Pykka ref of the actor's current incarnation.
    """

    def __init__(
        self,
        ref: Any,
        *,
        when: Callable[[Any], bool] | None = None,
        times: int | None = None,
    ) -> None:
        super().__init__(ref, when, times)

    def _tamper(self, reply: Any) -> None:
        for name in _WRITERS:
            if hasattr(reply, name):
                setattr(reply, name, _swallow)


class LateReply(_ReplyFault):
    """The answer comes ``seconds`` late, perhaps when the asker no longer waits for it.

    Imitates a collector's pause, or an answer that queues behind others.
    """

    def __init__(
        self,
        ref: Any,
        seconds: float,
        *,
        when: Callable[[Any], bool] | None = None,
        times: int | None = None,
    ) -> None:
        super().__init__(ref, when, times, seconds=seconds)
        self._seconds = seconds

    def _tamper(self, reply: Any) -> None:
        for name in _WRITERS:
            if hasattr(reply, name):
                setattr(reply, name, self._late(getattr(reply, name)))

    def _late(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def later(*arguments: Any, **named: Any) -> bool:
            timer = threading.Timer(self._seconds, write, arguments, named)
            timer.daemon = True
            timer.start()
            return True

        return later


class Flood(Fault):
    """``count`` messages at once, from ``senders`` threads.

    Imitates a retry storm, or a producer without flow control. ``send`` is the actor's
    ``tell``; what it raises is counted in ``refused``, and every call in ``happened``. ``longest``
    is the longest single call, in seconds: a sender that is held up shows there.
    """

    def __init__(
        self, send: Callable[[Any], object], message: object, count: int, *, senders: int = 4
    ) -> None:
        super().__init__(count=count, senders=senders)
        self.sent = self.refused = 0
        self.longest = 0.0
        self._send, self._message = send, message
        self._count, self._senders = count, senders
        self._tally = threading.Lock()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def join(self, timeout: float) -> bool:
        """Wait until everything was sent; False if that took longer."""
        deadline = time.monotonic() + timeout
        for thread in [each for each in self._threads if each.ident is not None]:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _inject(self) -> None:
        self._over.clear()
        shares = [len(range(n, self._count, self._senders)) for n in range(self._senders)]
        self._threads = [
            threading.Thread(target=self._pour, args=(share,), name="flood", daemon=True)
            for share in shares
        ]
        for thread in self._threads:
            thread.start()

    def _heal(self) -> None:
        self._over.set()
        self.join(10.0)

    def _pour(self, share: int) -> None:
        sent = refused = 0
        longest = 0.0
        for _ in range(share):
            if self._over.is_set():
                break
            begun = time.perf_counter()
            try:
                self._send(self._message)
                sent += 1
            except Exception:  # noqa: BLE001  # however the receiver refuses
                refused += 1
            longest = max(longest, time.perf_counter() - begun)
        with self._tally:
            self.sent += sent
            self.refused += refused
            self.happened += sent + refused
            self.longest = max(self.longest, longest)


class ThreadExhaustion(Fault):
    """Starting a thread fails as on a machine that has none left, ``times`` times at most.

    Imitates a limit on processes (``ulimit -u``, a container's ``pids.max``). Only threads whose
    name ``names`` accepts are refused: all of this process by default.
    """

    def __init__(
        self, names: Callable[[str], bool] | None = None, *, times: int | None = None
    ) -> None:
        super().__init__(times=times)
        self._names = names or _any_message
        self._left = times
        self._patch = Patch(threading.Thread, "start", self._refuse)

    @property
    def refused(self) -> int:
        """The same as ``happened``: threads that were not started."""
        return self.happened

    def _inject(self) -> None:
        self._patch.put()

    def _heal(self) -> None:
        self._patch.remove()

    def _refuse(self, start: Callable[..., None], thread: threading.Thread) -> None:
        if self._names(thread.name) and self._left != 0:
            if self._left is not None:
                self._left -= 1
            self.happened += 1
            raise RuntimeError("can't start new thread")
        start(thread)


def _any_message(_message: object) -> bool:
    return True


def _swallow(*_arguments: Any, **_named: Any) -> bool:
    """An answer that is lost."""
    return True
