"""One prompt through a real llama.cpp server's own APIs, and through ours: the same answer.

Its own Responses stream, which clients can't read, has no part in it: ours is translated, and held
to the response in one piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import anthropic
import openai
import pytest
from anthropic.types import Message
from openai.types.responses import Response

from actors.cli.speaking import dialects_of
from actors.engines.dialect import Counter
from actors.engines.llama.host import LlamaServer, bundled_model
from actors.engines.upstream import UpstreamEngine
from http_service import HttpService
from tests.http_service.conftest import LOCAL
from tests.http_service.serving import running

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

MODEL = "m"
PARIS = "What is the capital of France? One sentence."
DEADLINE = 120.0


class Ways(NamedTuple):
    """The base URL of the worker itself, and of the service before it."""

    native: str
    ours: str


@pytest.fixture(scope="module")
def ways() -> Iterator[Ways]:
    with ExitStack() as stack:
        server = LlamaServer(bundled_model(), MODEL, n_ctx=1024)
        url = server.start()
        stack.callback(server.close, DEADLINE)
        service = stack.enter_context(HttpService(LOCAL))
        engine = UpstreamEngine(url, unary="fold", speaks=dialects_of(url))
        stack.callback(engine.close)
        service.model_manager().add_chat_completions_model(MODEL, engine)
        live = stack.enter_context(running(service))
        yield Ways(url.removesuffix("/v1"), live.service.url)


def message(url: str, limit: int, *, stream: bool) -> tuple[object, ...]:
    """What Anthropic's client makes of the answer: text, reason of its end, counts."""
    asked: Any = {
        "model": MODEL,
        "max_tokens": limit,
        "extra_body": {"temperature": 0},  # newer clients have no word for it
        "messages": [{"role": "user", "content": PARIS}],
    }
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, timeout=DEADLINE) as sdk:
        messages: Any = sdk.messages
        made: Message
        if stream:
            with messages.stream(**asked) as events:
                made = events.get_final_message()
        else:
            made = messages.create(**asked)
    usage = made.usage
    # What was in the worker's cache depends on what it was asked before; the sum does not.
    prompt = usage.input_tokens + (usage.cache_read_input_tokens or 0)
    text = "".join(block.text for block in made.content if block.type == "text")
    return text, made.stop_reason, prompt, usage.output_tokens


def response(url: str, limit: int, *, stream: bool = False) -> tuple[object, ...]:
    """What OpenAI's client makes of a response: text, counts."""
    asked: Any = {
        "model": MODEL, "input": PARIS, "temperature": 0, "max_output_tokens": limit,
    }  # fmt: skip
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, timeout=DEADLINE) as sdk:
        responses: Any = sdk.responses
        made: Response
        if stream:
            with responses.stream(**asked) as events:
                *_, last = events
            made = last.response
        else:
            made = responses.create(**asked)
    assert made.usage is not None
    return made.output_text, made.usage.input_tokens, made.usage.output_tokens


@pytest.mark.parametrize("limit", [32, 3])
@pytest.mark.parametrize("stream", [False, True])
def test_a_message_is_the_same_natively_and_translated(
    ways: Ways, limit: int, *, stream: bool
) -> None:
    assert message(ways.ours, limit, stream=stream) == message(ways.native, limit, stream=stream)


@pytest.mark.parametrize("limit", [32, 3])
def test_a_response_is_the_same_natively_and_translated(ways: Ways, limit: int) -> None:
    assert response(ways.ours, limit) == response(ways.native, limit)


@pytest.mark.parametrize("limit", [32, 3])
def test_a_response_is_the_same_in_one_piece_and_as_a_stream(ways: Ways, limit: int) -> None:
    assert response(ways.ours, limit, stream=True) == response(ways.ours, limit)


def test_the_server_is_found_to_count_and_to_speak_no_dialect_well(ways: Ways) -> None:
    assert dialects_of(ways.native) == (Counter.INPUT_TOKENS,)


def test_a_prompt_is_counted_as_the_server_counts_it_and_as_its_answer_says(ways: Ways) -> None:
    turns: Any = [{"role": "user", "content": PARIS}]
    counts: list[int] = []
    for url in ways:
        with anthropic.Anthropic(base_url=url, api_key="k", timeout=DEADLINE) as theirs:
            counts.append(theirs.messages.count_tokens(model=MODEL, messages=turns).input_tokens)
        with openai.OpenAI(base_url=f"{url}/v1", api_key="k", timeout=DEADLINE) as sdk:
            counts.append(sdk.responses.input_tokens.count(model=MODEL, input=PARIS).input_tokens)

    assert counts == [40, 40, 40, 40]
    assert response(ways.ours, 3)[1] == 40


def test_the_capital_of_france_is_paris_in_both(ways: Ways) -> None:
    assert message(ways.ours, 32, stream=True)[0] == "The capital of France is Paris."
    assert response(ways.ours, 32) == ("The capital of France is Paris.", 40, 8)
