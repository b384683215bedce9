"""The store of responses by itself: its bound, its order, its owners."""

from __future__ import annotations

import threading

import pytest

from actors.engines.lenient_json import encode
from http_service.errors import (
    InvalidValue,
    PreviousResponseNotFound,
    ResponseNotFound,
    reply_for,
)
from http_service.response_store import (
    NOTHING_STORED,
    OVERHEAD,
    ClientResponses,
    ResponseStore,
    StoredResponse,
)

ME, OTHER = b"me", b"other"
KILO = StoredResponse(b"x" * (1000 - OVERHEAD), b"")


def test_the_least_recently_used_make_room() -> None:
    store = ResponseStore(3_000)
    for name in "abc":
        assert store.keep(ME, name, KILO)
    assert store.find(ME, "a") is KILO
    assert store.keep(ME, "d", KILO)

    assert [name for name in "abcd" if store.find(ME, name)] == ["a", "c", "d"]
    assert store.size == 3_000


def test_what_is_greater_than_the_bound_is_not_stored_and_drives_nothing_out() -> None:
    store = ResponseStore(1_000)
    assert store.keep(ME, "a", KILO)
    assert not store.keep(ME, "b", StoredResponse(KILO.document, b"y"))
    assert store.find(ME, "a") is KILO


def test_one_is_stored_once() -> None:
    store = ResponseStore(5_000)
    store.keep(ME, "a", KILO)
    store.keep(ME, "a", KILO)
    assert store.size == 1_000


def test_what_is_deleted_is_gone_and_its_room_is_free() -> None:
    store = ResponseStore(1_000)
    store.keep(ME, "a", KILO)
    assert store.forget(ME, "a")
    assert not store.forget(ME, "a")
    assert (store.find(ME, "a"), store.size) == (None, 0)


def test_each_owner_has_its_own() -> None:
    store = ResponseStore(5_000)
    store.keep(ME, "a", KILO)
    assert store.find(OTHER, "a") is None
    assert not store.forget(OTHER, "a")
    assert store.find(ME, "a") is KILO


def test_threads_that_store_at_once_stay_within_the_bound() -> None:
    store = ResponseStore(7_000)
    barrier = threading.Barrier(4)

    def keep(thread: int) -> None:
        barrier.wait(10)
        for number in range(300):
            store.keep(ME, f"{thread}_{number % 9}", KILO)
            store.find(ME, f"{thread}_{number % 5}")
            store.forget(ME, f"{thread}_{number % 7}")

    threads = [threading.Thread(target=keep, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    kept = [f"{thread}_{number}" for thread in range(4) for number in range(9)]
    assert store.size == 1_000 * sum(store.find(ME, name) is not None for name in kept) <= 7_000


def one_item(response_id: str, item_id: str) -> tuple[ResponseStore, bytes]:
    store = ResponseStore(10_000)
    said = {"id": response_id, "output": [{"type": "message", "id": item_id}]}
    asked = encode([{"type": "message", "id": "mine", "role": "user"}])
    assert ClientResponses(store, ME).keep(asked, said)
    return store, asked


def test_a_conversation_is_what_was_asked_and_what_was_said() -> None:
    store, _ = one_item("resp_a", "msg_a_0")
    admitted: list[int] = []
    responses = ClientResponses(store, ME, admitted.append)
    assert [item["id"] for item in responses.conversation("resp_a")] == ["mine", "msg_a_0"]
    assert admitted == [store.size]


def test_a_reference_is_replaced_with_the_item_and_each_copy_counts() -> None:
    store, _ = one_item("resp_a", "msg_a_0")
    admitted: list[int] = []
    responses = ClientResponses(store, ME, admitted.append)
    reference = {"type": "item_reference", "id": "msg_a_0"}
    found = responses.resolved([reference, {"type": "message"}, reference])
    assert [item["type"] for item in found] == ["message"] * 3
    assert len(admitted) == 3  # the response, once, and two copies of its item


@pytest.mark.parametrize("item_id", ["msg_a_1", "msg_b_0", "msg", "", "mine"])
def test_a_reference_to_what_is_not_stored_is_named(item_id: str) -> None:
    store, _ = one_item("resp_a", "msg_a_0")
    with pytest.raises(InvalidValue) as caught:
        ClientResponses(store, ME).resolved([{"type": "item_reference", "id": item_id}])
    assert caught.value.param == "input[0]"
    with pytest.raises(InvalidValue):
        ClientResponses(store, OTHER).resolved([{"type": "item_reference", "id": "msg_a_0"}])


def test_without_a_store_the_errors_name_the_option() -> None:
    for act, error, status in (
        (NOTHING_STORED.conversation, PreviousResponseNotFound, 400),
        (NOTHING_STORED.find, ResponseNotFound, 404),
        (NOTHING_STORED.forget, ResponseNotFound, 404),
    ):
        with pytest.raises(error) as caught:
            act("resp_a")
        reply = reply_for(caught.value)
        assert reply.status == status
        assert "--responses-store" in reply.message
    with pytest.raises(InvalidValue, match="--responses-store"):
        NOTHING_STORED.resolved([{"type": "item_reference", "id": "msg_a_0"}])
    assert not NOTHING_STORED.keep(b"[]", {"id": "resp_a", "output": []})
