"""The live stream: the newest figures, tree and models, and each event and request as they come.

Five times a second, while there is a reader, it looks at what is recorded anyway and makes one
payload for each reader that has sent its last one. Nothing waits for a reader, and none has a
queue: what is a state is conflated to its newest version, and of events and requests a reader
that fell behind gets the newest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec

from actors.engines.pool import PoolView
from actors.supervision import Address, Child, Clock, Tree
from actors.supervision.describe import ChildView, TreeView
from http_service.admin.documents import model_detail, tree_document
from http_service.admin.event_log import Events, Take
from http_service.admin.pool_table import PoolTable
from http_service.admin.request_log import Requests, first_tokens, row_of, wall_offset
from http_service.admin.series import Series
from http_service.admin.stream_reader import Cursor, ReaderSet, StreamReader
from http_service.admin.ticking import TickingActor

__all__ = ["MAX_READERS", "TOPICS", "Feed", "FeedActor", "Wake", "child_of", "cursor_of"]

TOPICS: Final = ("stats", "tree", "events", "models", "requests")

MAX_READERS: Final = 16

LOOK: Final = 0.2
"""Seconds between two looks, while there is a reader."""

MODELS_APART: Final = 0.5
"""Seconds between two looks at all models, at least."""

FRUGAL: Final = 200.0
"""The CPU that the last look took is multiplied by this: half a percent of a core, however many
models there are. By the clock a look takes long on a busy machine, and costs no more."""

TREE_APART: Final = 1.0
"""Seconds after which the tree is told again where only how busy it is has changed."""

BATCH: Final = 100
"""Events or requests in one payload: of more, the newest. More is not read by people, and would
cost a busy service a tenth of what its requests cost."""

KEEP_ALIVE: Final = 15.0
"""Seconds of silence after which a comment keeps proxies from closing the connection."""

COMMENT: Final = b": keep-alive\n\n"

encode: Final = msgspec.json.Encoder(enc_hook=str).encode


@dataclass(frozen=True, slots=True)
class Wake:
    """There is a reader."""


class Snapshot:
    """The newest version of one state, as bytes; made only while it is asked for."""

    def __init__(self, topic: str) -> None:
        self.topic: Final = topic
        self.version = 0
        self.data = b""
        self.due = 0.0
        self._key: object = None

    def update(self, key: object, document: Callable[[], Any]) -> None:
        """Make a new version of ``document()`` if ``key`` is another than before."""
        if key != self._key:
            self._key = key
            self.version += 1
            self.data = b"event: %b\ndata: %b\n" % (self.topic.encode(), encode(document()))


class Feed(ReaderSet):
    """What is streamed, and to whom. ``tick`` is called by one thread."""

    def __init__(
        self, tree: Tree, series: Series, events: Events, requests: Requests, pools: PoolTable
    ) -> None:
        self.readers: frozenset[StreamReader] = frozenset()
        self._tree: Final = tree
        self._series: Final = series
        self._events: Final = events
        self._requests: Final = requests
        self._pools: Final = pools
        self._snapshots: Final = {name: Snapshot(name) for name in ("stats", "tree", "models")}
        self._addresses: tuple[Address | None, Address | None] = (None, None)

    def follow(self, feed: Address, request_log: Address) -> None:
        """The actors at ``feed``, which is woken, and at ``request_log``, which is read."""
        self._addresses = feed, request_log

    # Readers: on the loop's thread.

    def join(self, reader: StreamReader) -> None:
        """Have ``reader`` read once its response has begun; the caller minds how many there are."""
        self.readers |= {reader}
        self._watch_requests()

    def joined(self) -> None:
        """See ``ReaderSet``."""
        feed = self._addresses[0]
        if feed is not None and feed.alive:
            feed.tell(Wake())

    def left(self, reader: StreamReader) -> None:
        """See ``ReaderSet``."""
        self.readers -= {reader}
        self._watch_requests()

    def end_all(self) -> None:
        """End every response. Any thread."""
        for reader in self.readers:
            reader.end_soon()

    def _watch_requests(self) -> None:
        self._requests.watch(on=any("requests" in each.topics for each in self.readers))

    # Looking and writing: on the feed's thread.

    def tick(self) -> None:
        """Write what is new to every reader that can take it."""
        free = [reader for reader in self.readers if reader.free]
        if not free:
            return
        now = time.monotonic()
        wanted = frozenset[str]().union(*(reader.topics for reader in free))
        self._look(wanted, now)
        made: dict[tuple[str, int], tuple[bytes, int]] = {}
        for reader in free:
            payload = self._payload(reader, now, made)
            if payload:
                reader.cursor.told_at = now
                reader.write_soon(payload)

    def _look(self, wanted: frozenset[str], now: float) -> None:
        snapshots, log = self._snapshots, self._addresses[1]
        if "stats" in wanted and self._series.end:
            snapshots["stats"].update(self._series.end, self._series.newest)
        if "tree" in wanted:
            view = self._tree.describe()
            key = _shape(view), now // TREE_APART if _is_busy(view.children) else 0
            snapshots["tree"].update(key, partial(tree_document, view))
        if "models" in wanted and now >= snapshots["models"].due:
            self._look_at_models(snapshots["models"], now)
        # The models show what of their instances' requests has been taken.
        if not wanted.isdisjoint(("requests", "models")) and log is not None and log.alive:
            log.tell(Take())

    def _look_at_models(self, snapshot: Snapshot, now: float) -> None:
        began = time.thread_time()
        views = [pool.view() for pool in self._pools.all()]
        first = first_tokens(self._requests.ring.all(), now)
        key = [_pool_key(view) for view in views], first
        snapshot.update(key, lambda: _details(views, first))
        took = time.thread_time() - began
        snapshot.due = now + max(MODELS_APART, took * FRUGAL)

    def _payload(
        self, reader: StreamReader, now: float, made: dict[tuple[str, int], tuple[bytes, int]]
    ) -> bytes:
        """What is new for one reader, whose cursor goes on."""
        cursor, parts = reader.cursor, list[bytes]()
        # What can be missed comes first: each id says what the reader has with it.
        if "events" in reader.topics:
            data, cursor.events = self._batch("events", cursor.events, made)
            parts.append(_identified(data, cursor))
        if "requests" in reader.topics:
            data, cursor.requests = self._batch("requests", cursor.requests, made)
            parts.append(_identified(data, cursor))
        for name, snapshot in self._snapshots.items():
            if name in reader.topics and cursor.versions.get(name, 0) != snapshot.version:
                cursor.versions[name] = snapshot.version
                parts.append(_identified(snapshot.data, cursor))
        if not any(parts) and now - cursor.told_at >= KEEP_ALIVE:
            return COMMENT
        return b"".join(parts)

    def _batch(
        self, topic: str, after: int, made: dict[tuple[str, int], tuple[bytes, int]]
    ) -> tuple[bytes, int]:
        """What came after a sequence, and the newest; made once for all who are as far."""
        found = made.get((topic, after))
        if found is None:
            ring: Any = self._events.ring if topic == "events" else self._requests.ring
            newest = ring.newest
            if newest == after:
                found = b"", after
            else:
                found = self._encoded(topic, ring.after(after, BATCH), ring.after(None, BATCH))
            made[topic, after] = found
        return found

    def _encoded(
        self, topic: str, next_: tuple[Sequence[Any], int], newest: tuple[Sequence[Any], int]
    ) -> tuple[bytes, int]:
        """``next_`` if that is all there is, else the ``newest``."""
        items, until = next_ if next_[1] == newest[1] else newest
        if topic == "requests":
            wall = wall_offset()
            items = [row_of(each, wall) for each in items]
        return b"event: %b\ndata: %b\n" % (topic.encode(), encode(items)), until


class FeedActor(TickingActor):
    """Ticks while there is a reader; its stop ends every response."""

    def __init__(self, feed: Feed, clock: Clock) -> None:
        super().__init__(clock)
        self._feed = feed
        self._ticking = False

    def on_start(self) -> None:
        """Go on for those who read already."""
        super().on_start()
        self._wake()

    def on_receive(self, message: Any) -> Any:
        """Wake up, or tick."""
        if isinstance(message, Wake):
            self._wake()
        else:
            super().on_receive(message)

    def on_stop(self) -> None:
        """Its readers have to come again."""
        self._feed.end_all()

    def tick(self) -> float | None:
        """Write what is new; not again until there is a reader."""
        self._feed.tick()
        self._ticking = bool(self._feed.readers)
        return LOOK if self._ticking else None

    def _wake(self) -> None:
        if self._feed.readers and not self._ticking:
            self._ticking = True
            self.plan(0.0)


def child_of(feed: Feed, clock: Clock) -> Child:
    """The feed as a supervised child."""
    return Child("feed", partial(FeedActor.start, feed, clock))


def cursor_of(last_id: str | None, events: int, requests: int) -> Cursor:
    """Where a reader that has seen ``last_id`` goes on; a new one after the newest. Pure."""
    first, _, second = (last_id or "").partition("-")
    if first.isdecimal() and second.isdecimal() and len(first) + len(second) < 40:
        # One of an earlier process may be ahead of all there is.
        seen = int(first), int(second)
        return Cursor(seen[0] if seen[0] <= events else 0, seen[1] if seen[1] <= requests else 0)
    return Cursor(events, requests)


def _identified(data: bytes, cursor: Cursor) -> bytes:
    """An event with its id, and its end; nothing of nothing."""
    return b"%bid: %d-%d\n\n" % (data, cursor.events, cursor.requests) if data else b""


def _shape(view: TreeView) -> tuple[object, ...]:
    """What of the tree is told at once when it changes: not how busy it is."""
    return view.exit is None, tuple(_child_shape(each) for each in view.children)


def _child_shape(child: ChildView) -> tuple[object, ...]:
    below = tuple(_child_shape(each) for each in child.children)
    return child.id, child.state, child.epoch, child.last_exit is None, below


def _is_busy(children: Sequence[ChildView]) -> bool:
    return any(
        each.mailbox_depth or (each.busy_for or 0.0) >= TREE_APART or _is_busy(each.children)
        for each in children
    )


def _pool_key(view: PoolView) -> tuple[object, ...]:
    """What of a pool makes it another one for a reader: not for how long it has been so."""
    return view.model, view.kind, view.waiting, tuple(
        (
            each.id, each.endpoint, each.state, each.breaker, each.inflight, each.max_concurrency,
            each.weight, each.share, each.selections, each.failures, each.last_error,
            each.overrides,
        )
        for each in view.instances
    )  # fmt: skip


def _details(views: Sequence[PoolView], first: Mapping[tuple[str, str, str], float]) -> list[Any]:
    """The details of every model, each with the pools of all its kinds."""
    models: dict[str, list[PoolView]] = {}
    for view in views:
        models.setdefault(view.model, []).append(view)
    return [model_detail(pools, first) for pools in models.values()]
