"""Runs a source on a thread and keeps what it delivers, for tests to wait on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from actors.supervision.cancellation import CancellationToken
from discovery.codec import encode, label_of
from discovery.source import Event, Put, Removed, Source, Stale, Synced, Unusable

__all__ = ["Recorder", "raw", "text"]

PATIENCE: Final = 20.0
"""Seconds to wait for something that takes milliseconds, or an etcd's restart."""


def raw(key: bytes, value: bytes) -> Unusable:
    """How a test reads any bytes: as an event that holds them."""
    return Unusable(label_of(key), value.decode("latin-1"))


def text(event: Put | Unusable) -> bytes:
    """The value of an event: of one that was read :func:`raw`, the bytes themselves."""
    if isinstance(event, Put):
        return encode(event.entry)[1]
    return (event.reason or "").encode("latin-1")


class Recorder:
    """A context manager: the source runs inside. ``events`` grows on the source's thread."""

    def __init__(self, source: Source) -> None:
        self.source: Final = source
        self.token: Final = CancellationToken()
        self.events: list[Event] = []
        self.threads: set[int] = set()
        self.error: BaseException | None = None
        self._changed: Final = threading.Condition()
        self._thread: Final = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> float:
        """Cancel the run, wait for its end, and tell how many seconds that took."""
        begin = time.monotonic()
        self.token.cancel()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the source did not stop"
        return time.monotonic() - begin

    @property
    def running(self) -> bool:
        """Whether the source's run goes on."""
        return self._thread.is_alive()

    @property
    def content(self) -> dict[bytes, bytes]:
        """What a listener that applied every event would hold, by id; no parts of a folder."""
        content: dict[bytes, bytes] = {}
        for event in [*self.events]:
            if isinstance(event, Put | Unusable) and not event.id.startswith("file:"):
                content[event.id.encode()] = text(event)
            elif isinstance(event, Removed):
                del content[event.id.encode()]
        return content

    @property
    def synced(self) -> bool:
        """Whether the last word about the source's state was that it is in sync."""
        states = [event for event in [*self.events] if isinstance(event, Synced | Stale)]
        return bool(states) and isinstance(states[-1], Synced)

    def until(self, check: Callable[[], bool], what: str, timeout: float = PATIENCE) -> None:
        """Block until ``check()`` holds; it is asked after each event."""
        with self._changed:
            if not self._changed.wait_for(check, timeout):
                raise AssertionError(f"not within {timeout} s: {what}; got {self.events[-10:]}")

    def until_synced(self) -> None:
        """Block until the source is in sync."""
        self.until(lambda: self.synced, "in sync")

    def until_stale(self) -> None:
        """Block until the source says that it is away."""
        self.until(lambda: bool(self.events) and isinstance(self.events[-1], Stale), "stale")

    def until_content(self, expected: dict[bytes, bytes]) -> None:
        """Block until a listener holds exactly this, and the source is in sync."""
        self.until(lambda: self.content == expected and self.synced, f"content {expected}")

    def _run(self) -> None:
        try:
            self.source.run(self._deliver, self.token)
        except BaseException as error:  # noqa: BLE001  # kept for the test to look at
            self.error = error
        with self._changed:
            self._changed.notify_all()

    def _deliver(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self.threads.add(threading.get_ident())
            self._changed.notify_all()
