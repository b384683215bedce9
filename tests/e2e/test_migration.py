"""A worker with a real model is killed in the middle of an answer: the client does not notice."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import anthropic
import openai
import pytest

from tests.support.callboard import Callboard
from tests.support.waiting import eventually

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

MODEL = "smollm2"
QUESTION = "Tell a story about a dragon who can not sleep."
TOKENS = 60
DEADLINE = 120.0


class House:
    """A front-end, and two workers of one model that it finds in a folder."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = str(folder)
        self._workers: dict[str, Callboard] = {}
        arguments = ("serve", "--port", "0", "--discovery-dir", self._folder)
        self.front = stack.enter_context(Callboard(*arguments))

    def start_workers(self) -> None:
        """Start each worker that does not run; returns when both serve."""
        for name in ("one", "two"):
            worker = self._workers.get(name)
            if worker is None or worker.process.poll() is not None:
                arguments = ("--llama", "smollm2", "--model", MODEL, "--announce-dir", self._folder)
                worker = Callboard("worker", *arguments, "--instance", name)
                self._workers[name] = self._stack.enter_context(worker)
        for worker in self._workers.values():
            worker.wait_for("announced ")
        eventually(self._all_serve, DEADLINE)

    def kill_the_busy_one(self) -> None:
        """SIGKILL the worker that answers."""
        (busy,) = {each["id"] for each in self._instances() if each["inflight"]}
        self._workers[busy].signal(signal.SIGKILL)

    def migrations(self) -> str:
        """What the front-end counted, in the text of its metrics."""
        with urlopen(f"{self.front.url}/metrics") as response:
            lines = response.read().decode().splitlines()
        return "\n".join(each for each in lines if "migrations_total{" in each)

    def _all_serve(self) -> bool:
        """Each of both kinds, chat and completions."""
        states = [each["state"] for each in self._instances()]
        return len(states) == 4 and {*states} <= {"serving", "starting"}

    def _instances(self) -> list[dict[str, Any]]:
        try:
            with urlopen(f"{self.front.url}/v1/models/{MODEL}/instances") as response:
                found: dict[str, list[dict[str, Any]]] = json.load(response)
                return found["data"]
        except OSError:
            return []


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        yield House(stack, tmp_path_factory.mktemp("entries"))


Halfway = Callable[[], object]


def chat(url: str, halfway: Halfway) -> tuple[object, ...]:
    """Text, end and usage of a streamed chat completion."""
    text, end, usage = "", None, None
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        for number, chunk in enumerate(
            sdk.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": QUESTION}],
                temperature=0,
                max_tokens=TOKENS,
                stream=True,
                stream_options={"include_usage": True},
            )
        ):
            if number == 12:
                halfway()
            for choice in chunk.choices:
                text, end = text + (choice.delta.content or ""), choice.finish_reason or end
            usage = chunk.usage or usage
    assert usage is not None
    return text, end, usage.prompt_tokens, usage.completion_tokens


def completion(url: str, halfway: Halfway) -> tuple[object, ...]:
    """Text and end of a streamed completion."""
    text, end = "", None
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        for number, chunk in enumerate(
            sdk.completions.create(
                model=MODEL,
                prompt="Once upon a time",
                temperature=0,
                max_tokens=TOKENS,
                stream=True,
            )
        ):
            if number == 12:
                halfway()
            for choice in chunk.choices:
                text, end = text + choice.text, choice.finish_reason or end
    return text, end


def message(url: str, halfway: Halfway) -> tuple[object, ...]:
    """Text, end and usage of a streamed message."""
    asked: Any = {
        "model": MODEL,
        "max_tokens": TOKENS,
        "extra_body": {"temperature": 0},  # newer clients have no word for it
        "messages": [{"role": "user", "content": QUESTION}],
    }
    text = ""
    with anthropic.Anthropic(base_url=url, api_key="k", max_retries=0) as sdk:
        messages: Any = sdk.messages
        with messages.stream(**asked) as events:
            for number, piece in enumerate(events.text_stream):
                if number == 12:
                    halfway()
                text += piece
            made = events.get_final_message()
    return text, made.stop_reason, made.usage.output_tokens


def response(url: str, halfway: Halfway) -> tuple[object, ...]:
    """Text, state and usage of a streamed response."""
    text = ""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as sdk:
        asked: Any = {"model": MODEL, "input": QUESTION, "max_output_tokens": TOKENS}
        with sdk.responses.stream(**asked, temperature=0) as events:
            number, made = 0, None
            for event in events:
                if event.type == "response.output_text.delta":
                    number += 1
                    if number == 12:
                        halfway()
                    text += event.delta
                elif event.type == "response.completed" or event.type == "response.incomplete":
                    made = event.response
    assert made is not None
    assert made.usage is not None
    return text, made.status, made.usage.input_tokens, made.usage.output_tokens


@pytest.mark.parametrize("ask", [chat, completion, message, response])
def test_an_answer_survives_the_kill_of_its_worker(
    house: House, ask: Callable[[str, Halfway], tuple[object, ...]]
) -> None:
    house.start_workers()
    unbroken = ask(house.front.url, lambda: None)
    house.start_workers()
    assert ask(house.front.url, house.kill_the_busy_one) == unbroken
    assert 'outcome="continued"' in house.migrations()
