"""Responses that can be asked for, and gone on from, later: in memory, within a bound.

Nothing of it outlives the process, and another front-end knows nothing of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final, NamedTuple, TypeAlias

from actors.engines.lenient_json import decode, encode
from http_service.errors import InvalidValue, PreviousResponseNotFound, ResponseNotFound

__all__ = ["NOTHING_STORED", "ClientResponses", "ResponseStore", "StoredResponse"]

Json: TypeAlias = dict[str, Any]

OVERHEAD: Final = 512
"""Bytes that a stored response takes beside its texts: its key, its place, its objects."""


class StoredResponse(NamedTuple):
    """``document`` is the response, ``items`` the list of items that it answers; both are JSON."""

    document: bytes
    items: bytes

    @property
    def size(self) -> int:
        """The bytes of memory that it takes."""
        return len(self.document) + len(self.items) + OVERHEAD


class ResponseStore:
    """At most ``limit`` bytes of responses; the least recently used ones make room.

    Each belongs to an ``owner``, and no other finds it. Thread-safe. With a limit of 0 nothing
    is ever stored.
    """

    def __init__(self, limit: int = 0) -> None:
        self.limit: Final = limit
        self._lock = Lock()
        self._kept: OrderedDict[tuple[bytes, str], StoredResponse] = OrderedDict()
        self._size = 0
        self._evicted = 0

    def counts(self) -> tuple[int, int, int]:
        """How many are stored, their bytes, and how many have made room for others."""
        return len(self._kept), self._size, self._evicted

    @property
    def size(self) -> int:
        """The bytes that are stored now."""
        return self._size

    def keep(self, owner: bytes, response_id: str, stored: StoredResponse) -> bool:
        """Store it; whether there can be room for it."""
        if stored.size > self.limit:
            return False
        with self._lock:
            self._drop((owner, response_id))
            self._kept[owner, response_id] = stored
            self._size += stored.size
            while self._size > self.limit:
                self._drop(next(iter(self._kept)))
                self._evicted += 1
        return True

    def find(self, owner: bytes, response_id: str) -> StoredResponse | None:
        """The response of that id, which counts as a use of it."""
        key = (owner, response_id)
        with self._lock:
            stored = self._kept.get(key)
            if stored is not None:
                self._kept.move_to_end(key)
        return stored

    def forget(self, owner: bytes, response_id: str) -> bool:
        """Remove it; whether it was there."""
        with self._lock:
            return self._drop((owner, response_id))

    def _drop(self, key: tuple[bytes, str]) -> bool:
        stored = self._kept.pop(key, None)
        if stored is not None:
            self._size -= stored.size
        return stored is not None


def _admit_all(_size: int) -> None:
    pass


class ClientResponses:
    """The stored responses of one client, as one request of it uses them. Not synchronised.

    ``admit`` is called with the bytes of JSON that the request is about to take out, and raises if
    that is too much.
    """

    def __init__(
        self, store: ResponseStore, owner: bytes, admit: Callable[[int], None] = _admit_all
    ) -> None:
        self._store = store
        self._owner = owner
        self._admit = admit
        self._items: dict[str, dict[str, Json]] = {}
        """The items of each response that was referred to, by their ids."""

    @property
    def enabled(self) -> bool:
        """Whether anything is stored here at all."""
        return self._store.limit > 0

    def find(self, response_id: str) -> StoredResponse:
        """A response. Raises ``ResponseNotFound``."""
        stored = self._store.find(self._owner, response_id)
        if stored is None:
            raise ResponseNotFound(response_id, stored_here=self.enabled)
        return stored

    def forget(self, response_id: str) -> None:
        """Delete a response. Raises ``ResponseNotFound``."""
        if not self._store.forget(self._owner, response_id):
            raise ResponseNotFound(response_id, stored_here=self.enabled)

    def keep(self, items: bytes, response: Mapping[str, Any]) -> bool:
        """Store ``response``, which answers ``items``; whether there can be room for it."""
        stored = StoredResponse(encode(response), items)
        return self._store.keep(self._owner, response["id"], stored)

    def conversation(self, response_id: str) -> list[Json]:
        """What a response answered, and what it said. Raises ``PreviousResponseNotFound``."""
        stored = self._store.find(self._owner, response_id)
        if stored is None:
            raise PreviousResponseNotFound(response_id, stored_here=self.enabled)
        self._admit(stored.size)
        return _items_of(stored)

    def resolved(self, items: list[Json]) -> list[Json]:
        """``items`` with stored ones in the place of references. Raises ``InvalidValue``."""
        return [
            self._referred(item, f"input[{number}]")
            if item.get("type") == "item_reference"
            else item
            for number, item in enumerate(items)
        ]

    def _referred(self, reference: Json, place: str) -> Json:
        item_id = str(reference.get("id"))
        # The id of an item is made of that of its response: msg_TOKEN_1 is of resp_TOKEN.
        response_id = f"resp_{item_id.split('_')[1]}" if item_id.count("_") > 1 else ""
        found = self._items.get(response_id)
        if found is None:
            stored = self._store.find(self._owner, response_id)
            if stored is not None:
                self._admit(stored.size)
                found = {str(item.get("id")): item for item in _items_of(stored)}
            self._items[response_id] = found = found or {}
        item = found.get(item_id)
        if item is None:
            raise InvalidValue(_NO_ITEM if self.enabled else _NO_STORE.format(place), place)
        # NOTE: each reference is a copy in what the model is sent.
        self._admit(len(encode(item)))
        return item


_NO_ITEM: Final = "There is no stored item of that id: send the item itself"
_NO_STORE: Final = (
    "{} refers to a stored item, and responses are not stored here: send store: false and the item "
    "itself, or start the service with --responses-store"
)


def _items_of(stored: StoredResponse) -> list[Json]:
    return [*decode(stored.items), *decode(stored.document)["output"]]


NOTHING_STORED: Final = ClientResponses(ResponseStore(), b"")
"""What every client has where no responses are stored."""
