"""The rest of an answer joined to its beginning: what is shown of it, and what never is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.pool.splice import (
    PROBE,
    Splice,
    WrongPlace,
    crossing_stop,
    repeats,
    stops_of,
)
from actors.engines.pool.transcript import Transcript
from tests.engines.asking import chat

SAID = "Once upon a time there was a dragon who could not sleep. "


def delta(content: str | None = None, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    said = {} if content is None else {"content": content}
    return {
        "id": "second",
        "choices": [{"index": 0, "delta": said | fields, "finish_reason": finish}],
    }


def splice(said: str = SAID, stops: tuple[str, ...] = (), tokens: int = 12) -> Splice:
    transcript = Transcript(chat())
    transcript.add({**delta(said), "id": "first", "created": 1}, tokens)
    transcript.read()
    return Splice(transcript, stops)


def shown(joined: Splice, *chunks: dict[str, Any]) -> list[dict[str, Any]]:
    """What the client gets of ``chunks`` and of the end after them."""
    found = [each for chunk in chunks for each, _ in joined.take(chunk, 1)]
    return found + [each for each, _ in joined.rest()]


def text_of(chunks: list[dict[str, Any]]) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


def test_every_chunk_bears_the_id_of_the_first_ones() -> None:
    for chunk in shown(splice(), delta("It tried ", created=2), delta("sheep.")):
        assert (chunk["id"], chunk["created"]) == ("first", 1)


def test_the_role_is_not_told_twice_and_a_chunk_of_nothing_else_is_dropped() -> None:
    joined = splice()
    assert joined.take(delta("", role="assistant"), 0) == []
    (chunk,) = shown(joined, delta("It ", role="assistant"))
    assert chunk["choices"][0]["delta"] == {"content": "It "}


@pytest.mark.parametrize(
    ("said", "new", "verdict"),
    [
        (SAID, SAID, True),
        (SAID, SAID[:PROBE], True),
        (SAID, SAID[: PROBE - 1], None),
        (SAID, "", None),
        (SAID, "Once more", False),
        (SAID, "It", False),
        ("Yes", "Yes", False),
        (
            "la la la la la la la la la la la la la la ",
            "la la la la la la la la la la la la ",
            False,
        ),
        ("twelve chars", "twelve chars", True),
        ("twelve chars", "twelve cats", False),
    ],
)
def test_an_answer_that_begins_again_is_told_by_its_first_characters(
    said: str, new: str, verdict: bool | None
) -> None:
    assert repeats(said, new) is verdict


@given(st.text("ab ", max_size=50), st.text("ab ", max_size=50), st.integers(0, 50))
def test_more_of_a_text_never_takes_a_verdict_back(said: str, new: str, cut: int) -> None:
    early = repeats(said, new[:cut])
    assert early is None or repeats(said, new) is early


def test_nothing_of_an_answer_that_begins_again_is_shown() -> None:
    joined = splice()
    assert joined.take(delta(SAID[:20]), 4) == []
    with pytest.raises(WrongPlace):
        joined.take(delta(SAID[20:]), 8)


def test_what_was_held_back_is_shown_in_order_once_it_is_decided() -> None:
    joined = splice()
    assert joined.take(delta("Once "), 1) == []
    assert joined.take(delta("upon "), 1) == []
    assert text_of([each for each, _ in joined.take(delta("another night"), 1)]) == (
        "Once upon another night"
    )


def test_an_answer_that_ends_undecided_was_no_beginning() -> None:
    assert text_of(shown(splice(), delta("Once "), delta(None, "stop"))) == "Once "
    assert text_of(shown(splice(), delta("Once "))) == "Once "


@pytest.mark.parametrize(
    ("said", "new", "verdict"),
    [
        ("the E", "ND of", True),
        ("the EN", "D", True),
        ("the E", "N", None),
        ("the E", "", None),
        ("the E", "x", False),
        ("the e", "ND", False),
        ("the END", "ND", False),
        ("the ", "END", False),
        ("", "END", False),
    ],
)
def test_a_stop_string_that_the_cut_went_through_is_found(
    said: str, new: str, verdict: bool | None
) -> None:
    assert crossing_stop(said, new, ("END",)) is verdict


def test_a_stop_string_ends_the_answer_and_is_not_shown() -> None:
    joined = splice("A dragon sle", ("sleeps",))
    assert joined.take(delta("ep"), 1) == []
    chunks = [each for each, _ in joined.take(delta("s well"), 1)]
    assert text_of(chunks) == ""
    assert [one["finish_reason"] for chunk in chunks for one in chunk["choices"]] == ["stop"]
    assert joined.done
    assert joined.take(delta("more"), 1) == []


@given(
    st.text("ab", max_size=12), st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=4)
)
def test_it_is_the_stop_string_that_an_unbroken_answer_would_have_ended_at(
    said: str, new: str, stop: str
) -> None:
    if stop in said:
        return  # the first instance had ended there
    begun = (said + new).find(stop)
    crossing = 0 <= begun < len(said)
    assert (crossing_stop(said, new, (stop,)) is True) == crossing


def test_the_usage_is_that_of_the_whole_answer() -> None:
    usage = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}
    (chunk,) = shown(splice(tokens=12), {"choices": [], "usage": usage})
    assert chunk["usage"] == {"prompt_tokens": 18, "completion_tokens": 17, "total_tokens": 35}


@pytest.mark.parametrize("usage", [{"completion_tokens": None}, {"prompt_tokens": "x"}, {}])
def test_a_usage_that_can_not_be_read_passes_as_it_is(usage: dict[str, Any]) -> None:
    (chunk,) = shown(splice(), {"choices": [], "usage": usage})
    assert chunk["usage"] == usage


@pytest.mark.parametrize(
    ("stop", "stops"),
    [(None, ()), ("x", ("x",)), (["x", "", 3, "y"], ("x", "y")), (7, ())],
)
def test_stop_strings_are_one_or_several(stop: Any, stops: tuple[str, ...]) -> None:
    assert stops_of({"stop": stop}) == stops
