"""How much structure a body may have: counted outside strings, before anything is decoded."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.api import validation as json_bounds
from http_service.api.validation import (
    LONG_BODY,
    MAX_CONTAINERS,
    MAX_DEPTH,
    MAX_VALUES,
    excess,
    parse_json,
)
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


NOT_JSON = {
    "empty": b"",
    "half an object": b'{"model": "m"',
    "two objects": b"{} {}",
    "single quotes": b"{'model': 'm'}",
    "a trailing comma": b'{"a": 1,}',
    "NaN": b'{"a": NaN}',
    "infinity": b'{"a": 1e999}',
    "invalid UTF-8": b'{"a": "\xff\xfe"}',
    "a lone surrogate": b'{"a": "\\ud800"}',
    "a raw control character": b'{"a": "\x01"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "arrays 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "unclosed 100,000 deep": b"[" * 100_000,
    "a number of 1,000,000 digits": b'{"max_tokens": ' + b"9" * 1_000_000 + b"}",
}


def test_too_little_memory_is_not_the_clients_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def loads(_raw: bytes) -> object:
        raise orjson.JSONDecodeError("Not enough memory to allocate buffer for parsing", "", 0)

    monkeypatch.setattr(orjson, "loads", loads)
    with pytest.raises(MemoryError):
        parse_json(b"{}")


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON.keys())
def test_what_is_not_json_is_malformed_and_nothing_worse(raw: bytes) -> None:
    with pytest.raises(MalformedRequest, match="not valid JSON"):
        parse_json(raw)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"[]", "an array"),
        (b'"x"', "a string"),
        (b"1", "a number"),
        (b"1.5", "a number"),
        (b"true", "a boolean"),
        (b"null", "null"),
    ],
)
def test_a_body_must_be_an_object(raw: bytes, name: str) -> None:
    with pytest.raises(MalformedRequest, match=f"must be a JSON object, not {name}"):
        parse_json(raw)


def nested(levels: int) -> bytes:
    """An object that nests ``levels`` containers, itself included."""
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_nesting_is_allowed_up_to_the_limit_and_not_beyond() -> None:
    parse_json(nested(MAX_DEPTH))
    with pytest.raises(MalformedRequest, match=f"more than {MAX_DEPTH} levels"):
        parse_json(nested(MAX_DEPTH + 1))


def test_many_brackets_side_by_side_are_not_depth() -> None:
    body: dict[str, Any] = {"messages": [{"parts": [{}, {}, []]} for _ in range(MAX_DEPTH)]}

    assert parse_json(json.dumps(body).encode()) == body


def test_a_body_within_the_depth_limit_can_be_written_again() -> None:
    assert orjson.dumps(parse_json(nested(MAX_DEPTH))) == nested(MAX_DEPTH)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_parse_or_are_malformed(raw: bytes) -> None:
    with suppress(MalformedRequest):
        assert isinstance(parse_json(raw), dict)


TWO_READINGS: list[tuple[str, str]] = [
    ('{"model":"a","model":"b","messages":[]}', "model"),
    ('{"model":"a","messages":[],"\\u006dodel":"b"}', "model"),
    ('{"\\u006dodel":"a","messages":[],"model":"b"}', "model"),
    ('{"model":"a","messages":[],"m\\u006Fdel":"b"}', "model"),
    ('{"model":"a","Model":"b"}', "model"),
    ('{"model":"a","MODEL":"a"}', "model"),
    ('{"Model":"a","messages":[]}', "model"),
    ('{"model":"a","\\u004dodel":"b"}', "model"),
    ('{"model":"a","stream":true,"stream":false}', "stream"),
    ('{"model":"a","\u017ftream":true}', "stream"),
    ('{"model":"a","to\u212ans":1,"max_to\u212aens":5}', "max_tokens"),
    ('{"model":"a","messages":[{"role":"user"}],"messages":[]}', "messages"),
    ('{"model":"a","prompt":"x","prompt":null}', "prompt"),
    ('{"model":"a","stream_options":{},"stream\\u005foptions":null}', "stream_options"),
    ('{"n":1,"model":"a","n":1}', "n"),
    ('{"model" : "a", "tools": [{"model": 1}], "model"\n:"b"}', "model"),
]


@pytest.mark.parametrize(("text", "param"), TWO_READINGS)
def test_a_body_that_two_readers_may_read_differently_is_refused(text: str, param: str) -> None:
    with pytest.raises(MalformedRequest) as caught:
        parse_json(text.encode())

    assert caught.value.param == param
    assert repr(param) in caught.value.message


@pytest.mark.parametrize(
    "body",
    [
        {"model": "model", "messages": ["model", "stream"]},
        {"model": "a", "tools": [{"model": 1, "stream": 2}, {"model": 1}]},
        {"model": "a", "messages": [{"content": '{"model": "b", "Model": "c"}'}]},
        {"model": "a", "extra": {"Model": 1, "STREAM": 2}},
        {"model": "caf\u00e9 \u006d", "x-model": "b", "models": "c"},
        {"model": "m", "seed": 1e22, "n": 10**18, "messages": ["model", 10**15, 0.5]},
    ],
    ids=str,
)
def test_names_that_are_no_fields_of_the_body_itself_may_repeat(body: dict[str, Any]) -> None:
    assert parse_json(json.dumps(body).encode()) == body
    assert parse_json(json.dumps(body, indent=1, ensure_ascii=False).encode()) == body


def test_a_field_the_schema_does_not_name_may_repeat() -> None:
    assert parse_json(b'{"model":"a","mine":1,"mine":2}') == {"model": "a", "mine": 2}


@given(st.dictionaries(st.text(max_size=4) | st.sampled_from(["model", "stream", "n"]), st.none()))
def test_a_body_without_repetitions_is_never_refused_for_one(body: dict[str, Any]) -> None:
    if all(name == name.casefold() for name in body):
        assert parse_json(json.dumps(body).encode()) == body
