"""How much structure a body may have: counted outside strings, before anything is decoded."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.api import validation as json_bounds
from http_service.api.validation import LONG_BODY, MAX_CONTAINERS, MAX_VALUES, excess, parse_json
from http_service.errors import MalformedRequest

MANY = 2_000_000

TOO_MANY_CONTAINERS = {
    "nine million empty arrays": b'{"a":[' + b"[]," * 9_000_000 + b"[]]}",
    "empty objects": b'{"a":[' + b"{}," * MAX_CONTAINERS + b"{}]}",
    "objects as members": b'{"a":{' + b'"k":{},' * MAX_CONTAINERS + b'"k":{}}}',
    "arrays behind a string that ends in a backslash": b'{"a":["\\\\",' + b"[]," * MANY + b"1]}",
    "arrays behind an escaped quote": b'{"a":["\\"",' + b"[]," * MANY + b"1]}",
    "arrays nested without end": b"[" * MANY,
}
TOO_MANY_VALUES = {
    "numbers": b'{"a":[' + b"0," * 9_000_000 + b"0]}",
    "empty strings": b'{"a":[' + b'"",' * MANY + b'""]}',
    "members": b"{" + b",".join(b'"%d":1' % number for number in range(MANY)) + b"}",
    "literals": b'{"a":[' + b"null," * MANY + b"1]}",
    "quotes without commas": b'{"a":' + b'""' * 9_000_000 + b"," * MANY + b"}",
}


@pytest.mark.parametrize("raw", TOO_MANY_CONTAINERS.values(), ids=TOO_MANY_CONTAINERS)
def test_too_many_arrays_and_objects_are_refused_before_decoding(
    raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orjson, "loads", None)  # would fail if it were called

    with pytest.raises(MalformedRequest, match=r"more than \d+ (arrays and objects|values)"):
        parse_json(raw)


@pytest.mark.parametrize("raw", TOO_MANY_VALUES.values(), ids=TOO_MANY_VALUES)
def test_too_many_values_are_refused_before_decoding(
    raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orjson, "loads", None)

    with pytest.raises(MalformedRequest, match="more than 1250000 values"):
        parse_json(raw)


def test_a_text_without_an_end_is_not_json_whatever_it_holds() -> None:
    with pytest.raises(MalformedRequest, match="not valid JSON"):
        parse_json(b'{"a":"' + b"[" * MANY + b'","' + b"[" * MANY)


@pytest.mark.parametrize(
    "bad",
    [b"[1,]", b"\xff", rb'"\ud83d"', b"NaN", b"1 2", b"[" * 90_000],
    ids=["comma", "bytes", "surrogate", "nan", "two", "deep"],
)
def test_a_long_body_is_refused_for_what_a_short_one_is(bad: bytes) -> None:
    text = b'{"model":"m","a":"' + b"x" * LONG_BODY + b'","b":'
    with pytest.raises(MalformedRequest, match=r"not valid JSON|nested more than"):
        parse_json(text + bad + b"}")


WITHIN = {
    "a million token ids": {"prompt": list(range(1_000_000))},
    "brackets and commas in a text": {"prompt": "[{," * MANY},
    "a text of quotes and backslashes": {"prompt": '\\"[,' * MANY},
    "ten thousand messages with parts": {
        "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}] * 10_000
    },
    "two thousand prompts of token ids": {"prompt": [[1, 2, 3]] * 2_000},
    "a text of ten million characters": {"prompt": "é, " * 3_000_000},
}


@pytest.mark.parametrize("body", WITHIN.values(), ids=WITHIN)
def test_what_clients_send_passes(body: dict[str, object]) -> None:
    assert excess(json.dumps(body).encode()) is None
    assert excess(json.dumps(body, ensure_ascii=False).encode()) is None


@given(
    st.recursive(
        st.none() | st.integers() | st.text(alphabet='a"\\[]{},:é'),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    ),
    st.integers(min_value=0, max_value=20),
    st.integers(min_value=0, max_value=20),
)
def test_the_count_is_exact_for_every_json_text(
    value: object, containers: int, values: int
) -> None:
    raw = json.dumps(value).encode()
    found = counted(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_bounds, "MAX_CONTAINERS", containers)
        patch.setattr(json_bounds, "MAX_VALUES", values)
        refused = excess(raw) is not None

    within = found[0] <= containers and found[1] <= values
    assert refused is not within or len(raw) <= containers


def counted(value: Any) -> tuple[int, int]:
    """The containers of ``value``, and the commas between their items."""
    if not isinstance(value, list | dict):
        return 0, 0
    items: list[Any] = [*(value.values() if isinstance(value, dict) else value)]
    inner = [counted(item) for item in items]
    commas = max(0, len(items) - 1)
    return 1 + sum(each[0] for each in inner), commas + sum(each[1] for each in inner)


def test_the_limits_leave_room_for_a_million_token_ids() -> None:
    assert MAX_VALUES > 1_000_000


def test_what_is_counted_is_the_same_wherever_a_long_body_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = rb'{"a\\":"[[[[[\"[[","b":[{"c":"\\\\"}],"d":"\\\"{{{{{","e":["\\",[]]}'
    for size in range(2, len(text) + 4, 2):
        monkeypatch.setattr(json_bounds, "PIECE", size)
        monkeypatch.setattr(json_bounds, "MAX_CONTAINERS", 5)
        assert json_bounds.excess(text) is None, size
        monkeypatch.setattr(json_bounds, "MAX_CONTAINERS", 4)
        assert json_bounds.excess(text) is not None, size


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_word_is_found_wherever_a_long_body_is_cut(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    text = b"-" * 7 + b'"model"' * count + b"-" * 9
    for size in range(2, len(text) + 4, 2):
        monkeypatch.setattr(json_bounds, "PIECE", size)
        assert json_bounds.occurs_once(b'"model"', text) == (count == 1), size
