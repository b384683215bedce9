"""What is kept of an answer that another instance may go on with: its text, within a bound."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines.pool.transcript import FOLD_AT, Transcript, text_of_tokens
from tests.engines.asking import chat


def event(text: str, **delta: Any) -> bytes:
    """One token as llama.cpp writes it."""
    choice = {"index": 0, "delta": {"content": text, **delta}, "finish_reason": None}
    return b"data: %b\n\n" % orjson.dumps({"id": "x", "choices": [choice]})


@given(st.lists(st.text(max_size=8), min_size=1, max_size=30))
def test_the_text_of_a_run_of_tokens_is_what_decoding_each_gives(texts: list[str]) -> None:
    batch = b"".join(map(event, texts))
    assert text_of_tokens(batch) == "".join(texts)


@pytest.mark.parametrize(
    "other",
    [
        event("x", tool_calls=[]),
        event("x", reasoning_content="y"),
        event("x").replace(b"null", b'"stop"'),
        event("x").replace(b'"content"', b'"role":"assistant","content"'),
        b": a comment\n\n",
        b"data: [DONE]\n\n",
        b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\n',
        event("x").replace(b'"delta":{"content":"x"}', b'"delta":{}'),
        event("x").replace(b'"id":"x"', b'"id":"\xff"').replace(b'"x"', b'"\xff"'),
    ],
)
def test_a_run_with_anything_else_in_it_is_decoded_event_by_event(other: bytes) -> None:
    assert text_of_tokens(event("a") + other + event("b")) is None


def test_what_is_kept_of_a_long_answer_is_its_text() -> None:
    transcript = Transcript(chat())
    for number in range(4000):
        transcript.add(event(f"{number} "), 1)
        assert len(transcript._events) <= FOLD_AT + 400  # pyright: ignore[reportPrivateUsage]  # the bound
    transcript.read()
    assert transcript.text == "".join(f"{number} " for number in range(4000))
    assert (transcript.tokens, transcript.head) == (4000, {"id": "x"})
