"""Two tool calls are never merged, whatever a server forgets to say of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import EngineError
from http_service.streaming.deltas import ToolCalls

CITY, ZONE = '{"city":"Oslo"}', '{"tz":"CET"}'
Part = dict[str, Any]


def told(*deltas: Any) -> list[Any]:
    """The calls that ``deltas``, each a list of parts, make up."""
    calls = ToolCalls()
    for parts in deltas:
        calls.add(parts)
    return calls.joined()


def arguments(*deltas: Any) -> list[Any]:
    return [call["function"].get("arguments") for call in told(*deltas)]


def part(text: str | None = None, name: str | None = None, **fields: Any) -> Part:
    function: Part = {}
    if name is not None:
        function["name"] = name
    if text is not None:
        function["arguments"] = text
    return {**fields, "function": function}


TWO: dict[str, list[Any]] = {
    "no index": [[part(CITY, "f", id="a")], [part(ZONE, "g", id="b")]],
    "index 0 twice, with ids": [
        [part(CITY, "f", id="a", index=0)], [part(ZONE, "f", id="b", index=0)],
    ],
    "index 0 twice, without ids": [[part(CITY, "f", index=0)], [part(ZONE, "g", index=0)]],
    "the same function, no ids, no index": [[part(CITY, "f")], [part(ZONE, "f")]],
    "the same function, index 0": [
        [part(CITY, "f", index=0, id="")], [part(ZONE, "f", index=0, id="")],
    ],
    "the same id twice": [[part(CITY, "f", id="call_0")], [part(ZONE, "f", id="call_0")]],
    "whole in one delta": [[part(CITY, "f"), part(ZONE, "f")]],
    "in pieces, index 0": [
        [part('{"city":', "f", index=0, id="a")], [part('"Oslo"}', index=0)],
        [part('{"tz":', "g", index=0, id="b")], [part('"CET"}', index=0)],
    ],
    "in pieces, no index": [
        [part("", "f", id="a")], [part('{"city":')], [part('"Oslo"}')],
        [part("", "g", id="b")], [part('{"tz":')], [part('"CET"}')],
    ],
    "in pieces, by id": [
        [part("", "f", id="a"), part("", "g", id="b")],
        [part('{"city":', id="a")], [part('{"tz":', id="b")],
        [part('"CET"}', id="b")], [part('"Oslo"}', id="a")],
    ],
    "in pieces, by position": [
        [part("", "f"), part("", "g")],
        [part('{"city":'), part('{"tz":')],
        [part('"Oslo"}'), part('"CET"}')],
    ],
    "in pieces, the name repeated": [
        [part('{"city":', "f")], [part('"Oslo"}', "f")],
        [part('{"tz":', "f")], [part('"CET"}', "f")],
    ],
    "by index, interleaved": [
        [part('{"city":', "f", index=0)], [part('{"tz":', "g", index=1)],
        [part('"CET"}', index=1)], [part('"Oslo"}', index=0)],
    ],
    "by index, the second first": [[part(ZONE, "g", index=1)], [part(CITY, "f", index=0)]],
    "an index as text and float": [
        [part('{"city":', "f", index="0")], [part('{"tz":', "g", index=1.0)],
        [part('"Oslo"}', index=0), part('"CET"}', index="1")],
    ],
}  # fmt: skip


@pytest.mark.parametrize("deltas", TWO.values(), ids=TWO)
def test_two_calls_stay_two(deltas: list[Any]) -> None:
    assert arguments(*deltas) == [CITY, ZONE]


def test_calls_with_objects_for_arguments_stay_two() -> None:
    parts = [[{"function": {"name": "f", "arguments": {"a": 1}}}] for _ in range(2)]
    assert arguments(*parts) == [{"a": 1}, {"a": 1}]


def test_what_is_empty_later_wipes_nothing() -> None:
    begun = part("", "f", id="a", index=0, type="function")
    later = part('{"x":1}', "", id="", index=0, type=None)
    assert told([begun], [later]) == [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}
    ]


def test_what_nobody_named_is_kept() -> None:
    extra = {"extra_content": {"google": {"thought_signature": "s"}}}
    assert told([{**part(CITY, "f", index=0), **extra}]) == [
        {"function": {"name": "f", "arguments": CITY}, **extra}
    ]


def test_braces_inside_a_text_begin_no_call() -> None:
    pieces = ['{"code":"', "{}", "{", "}", "{}", '"}']
    assert arguments(*[[part(each, index=0)] for each in pieces]) == ["".join(pieces)]


@pytest.mark.parametrize("odd", ["x", 5, True, [5], ["x"], [[]]])
def test_what_is_not_a_call_is_the_engines_failure(odd: object) -> None:
    with pytest.raises(EngineError):
        told(odd)


@pytest.mark.parametrize("nothing", [None, [], [None]])
def test_nothing_is_no_call(nothing: object) -> None:
    assert told(nothing) == []


calls = st.lists(
    st.tuples(
        st.sampled_from(["f", "g"]), st.dictionaries(st.text(max_size=5), st.text(max_size=9))
    ),
    min_size=1,
    max_size=4,
)


@given(calls, st.sampled_from(["index", "zero", "id", "nothing"]), st.integers(1, 9))
def test_calls_are_put_together_however_they_are_told(
    calls: list[tuple[str, dict[str, str]]], style: str, size: int
) -> None:
    deltas: list[Any] = []
    for number, (name, values) in enumerate(calls):
        text = json.dumps(values)
        where: dict[str, Any] = {"index": {"index": number}, "zero": {"index": 0}}.get(style, {})
        own = {} if style == "nothing" else {"id": f"call_{number}"}
        deltas.append([part(text[:size], name, **where, **own)])
        rest = range(size, len(text), size)
        deltas += [[part(text[at : at + size], **where)] for at in rest]
    assert arguments(*deltas) == [json.dumps(values) for _, values in calls]
