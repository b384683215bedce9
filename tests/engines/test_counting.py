"""How a prompt's tokens are counted: who is asked, what, and what an answer says."""

from __future__ import annotations

from typing import Any

import pytest

from actors.engines import Context, EngineError, EngineRequest, EngineUnavailable
from actors.engines.counting import (
    able_to_count,
    count_in,
    counter_for,
    exact_count,
    tokenize_body,
)
from actors.engines.dialect import Counter, Dialect, Original, Spoken, spoken
from tests.engines.asking import chat

PICTURE: Any = [{"type": "image_url", "image_url": {"url": "data:,"}}]
MESSAGES = Original(Dialect.MESSAGES, b"{}")
RESPONSES = Original(Dialect.RESPONSES, b"{}")
ALL: tuple[Spoken, ...] = (*Dialect, *Counter)


def asked(original: Original | None = None, content: Any = "hi") -> EngineRequest:
    made = chat(messages=[{"role": "user", "content": content}])
    made.original = original
    return made


@pytest.mark.parametrize(
    ("speaks", "request_", "counter"),
    [
        ((), asked(), None),
        (tuple(Dialect), asked(MESSAGES), None),
        (ALL, asked(MESSAGES), Counter.COUNT_TOKENS),
        (ALL, asked(RESPONSES), Counter.INPUT_TOKENS),
        (ALL, asked(), Counter.INPUT_TOKENS),
        # What is translated for its answer is counted as it is translated.
        (tuple(Counter), asked(MESSAGES), Counter.INPUT_TOKENS),
        ((Counter.TOKENIZE, Counter.COUNT_TOKENS), asked(MESSAGES), Counter.TOKENIZE),
        ((Counter.COUNT_TOKENS,), asked(MESSAGES), Counter.COUNT_TOKENS),
        ((Counter.COUNT_TOKENS,), asked(RESPONSES), None),
        # Only the model knows what a picture comes to.
        (tuple(Counter), asked(MESSAGES, PICTURE), Counter.COUNT_TOKENS),
        ((Counter.INPUT_TOKENS, Counter.TOKENIZE), asked(None, PICTURE), None),
        ((Counter.TOKENIZE,), asked(None, [{"type": "text", "text": "x"}]), Counter.TOKENIZE),
    ],
)
def test_a_server_is_asked_to_count_what_it_would_be_asked_to_answer(
    speaks: tuple[Spoken, ...], request_: EngineRequest, counter: Counter | None
) -> None:
    assert counter_for(speaks, request_) is counter


@pytest.mark.parametrize(
    ("body", "count"), [(b'{"input_tokens":37}', 37), (b'{"count": 5, "tokens": [1]}', 5)]
)
def test_a_count_is_read(body: bytes, count: int) -> None:
    assert count_in(body) == count


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"tokens":[]}', b'{"count":"5"}', b'{"count":true}', b'{"count":-1}']
)
def test_anything_else_is_no_count(body: bytes) -> None:
    with pytest.raises(EngineUnavailable, match="count"):
        count_in(body)


def test_vllm_is_asked_with_what_shapes_its_template() -> None:
    body = chat(tools=[{"a": 1}], temperature=1, chat_template_kwargs={"k": 0}).body
    assert tokenize_body(body, "other") == {
        "model": "other",
        "messages": body["messages"],
        "add_generation_prompt": True,
        "tools": [{"a": 1}],
        "chat_template_kwargs": {"k": 0},
    }


class Counts:
    """Counts, or fails to."""

    def __init__(self, said: int | EngineError, *, able: bool = True) -> None:
        self.said = said
        self.able = able
        self.asked = 0

    def counts(self, request: EngineRequest) -> bool:
        del request
        return self.able

    def count(self, request: EngineRequest, context: Context) -> int:
        del request, context
        self.asked += 1
        if isinstance(self.said, EngineError):
            raise self.said
        return self.said


def test_the_first_that_can_counts_and_a_second_one_if_it_fails() -> None:
    down = [Counts(EngineUnavailable("down")) for _ in range(3)]
    well, unable = Counts(7), Counts(9, able=False)
    context = Context("r")

    assert able_to_count([object(), unable, well], asked()) == [well]
    assert exact_count([down[0], well], asked(), context) == 7
    assert exact_count(down, asked(), context) is None
    assert [each.asked for each in down] == [2, 1, 0]


def test_a_word_that_no_server_speaks_is_refused_with_a_suggestion() -> None:
    assert spoken("count_tokens") is Counter.COUNT_TOKENS
    assert spoken("messages") is Dialect.MESSAGES
    with pytest.raises(ValueError, match="did you mean 'tokenize'"):
        spoken("tokenise")
