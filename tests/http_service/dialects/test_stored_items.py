"""Items of a stored response: their names and their pages."""

from __future__ import annotations

from typing import Any

import pytest

from http_service.dialects.responses_request import responses_to_chat
from http_service.dialects.stored_items import named_items, page_of
from http_service.errors import InvalidValue

ITEMS: list[dict[str, Any]] = [{"id": str(number)} for number in range(5)]


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["data"]]


def test_a_text_is_one_message_of_the_user() -> None:
    assert named_items("hi", "t") == [
        {
            "id": "msg_t_in0",
            "type": "message",
            "role": "user",
            "status": "completed",
            "content": [{"type": "input_text", "text": "hi"}],
        }
    ]


def test_items_get_what_they_lack_and_keep_what_they_have() -> None:
    call = {"type": "function_call_output", "call_id": "c", "output": "x"}
    said = {"role": "assistant", "content": "yes", "id": "mine", "status": "incomplete"}
    first, second = named_items([call, said], "t")
    assert first == {**call, "id": "item_t_in0"}
    assert (second["id"], second["status"]) == ("mine", "incomplete")
    assert second["content"][0]["type"] == "output_text"


def test_named_items_mean_the_same_as_those_that_were_sent() -> None:
    given: list[dict[str, Any]] = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {"role": "assistant", "content": "hello"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "x"},
    ]
    sent = responses_to_chat({"model": "m", "input": given}).chat
    assert responses_to_chat({"model": "m"}, named_items(given, "t")).chat == sent


def test_a_page_begins_with_the_last_item_unless_told_otherwise() -> None:
    assert ids(page_of(ITEMS)) == ["4", "3", "2", "1", "0"]
    page = page_of(ITEMS, order="asc", limit=2)
    assert (ids(page), page["first_id"], page["last_id"]) == (["0", "1"], "0", "1")
    assert page["has_more"] is True


def test_the_next_page_begins_after_an_item() -> None:
    page = page_of(ITEMS, order="asc", limit=3, after="1")
    assert (ids(page), page["has_more"]) == (["2", "3", "4"], False)
    end = page_of(ITEMS, after="0")
    assert (end["data"], end["first_id"], end["last_id"]) == ([], None, None)


@pytest.mark.parametrize(
    ("query", "param"),
    [({"order": "up"}, "order"), ({"limit": 0}, "limit"), ({"limit": 101}, "limit"),
     ({"after": "no"}, "after")],
)  # fmt: skip
def test_a_query_that_names_no_page_is_refused_by_name(query: Any, param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        page_of(ITEMS, **query)
    assert caught.value.param == param
