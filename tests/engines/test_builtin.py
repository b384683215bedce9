"""The table behind ``--engine``: each row makes an engine, and the service makes what was named."""

from __future__ import annotations

import math
from operator import mul
from types import MappingProxyType

import openai
import pytest

from actors import CancellationToken, option_types, service
from actors.cli.runner import CannotStart
from actors.cli.serve import start_service
from actors.engines import EchoEngine, Kind, as_push_engine, builtin
from actors.engines.builtin import ENGINES, BuiltInEngine
from actors.settings.serve import ServeSettings
from tests.support.chat import chat


@pytest.mark.parametrize("name", ENGINES)
def test_each_row_says_what_its_engine_does(name: str) -> None:
    row = ENGINES[name]
    assert row.name == name
    assert row.help
    assert row.kinds


@pytest.mark.parametrize("name", [name for name, row in ENGINES.items() if not row.loads])
def test_each_row_that_loads_nothing_makes_an_engine(name: str) -> None:
    assert as_push_engine(ENGINES[name].make())


class Parrot(EchoEngine):
    """Another engine than the echo."""


def test_the_engine_that_was_named_is_the_one_that_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    row = BuiltInEngine("parrot", Parrot, "repeats", kinds=(Kind.CHAT,))
    table = MappingProxyType({**ENGINES, "parrot": row})
    monkeypatch.setattr(builtin, "ENGINES", table)
    monkeypatch.setattr(service, "ENGINES", table)
    engine = (option_types.engine("parrot=polly"), option_types.engine("echo"))
    settings = ServeSettings(console="off", engine=engine, host="127.0.0.1", port=0)
    running = start_service(settings, CancellationToken())
    try:
        state = running.http.model_manager().state()
        assert isinstance(state.get_engine(Kind.CHAT, "polly"), Parrot)
        assert running.http.model_manager().list_models(Kind.COMPLETIONS) == ["echo"]
        status, answer = chat(running.url, "polly", "hello")
        assert (status, answer["choices"][0]["message"]["content"]) == (200, "hello")
    finally:
        running.stop()


def test_an_engine_that_is_not_in_the_table_is_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match=r"no engine 'onnx': give echo, llama or echo=MODEL$"):
        option_types.engine("onnx=x")


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("llama", "llama=llama"),
        ("llama=m", "llama=m"),
        ("llama:/models/bge-small.gguf", "llama:/models/bge-small.gguf=bge-small"),
        ("llama:x.gguf=m", "llama:x.gguf=m"),
    ],
)
def test_a_file_to_load_stands_behind_a_colon(text: str, chosen: str) -> None:
    assert option_types.engine(text) == chosen


@pytest.mark.parametrize(
    ("text", "why"), [("echo:x.gguf", "loads no file"), ("llama:", "path"), ("llama:=m", "path")]
)
def test_a_colon_is_for_a_file_to_load(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        option_types.engine(text)


def test_a_file_that_is_not_there_keeps_the_service_from_starting() -> None:
    settings = ServeSettings(
        console="off", engine=("llama:nowhere.gguf=m",), host="127.0.0.1", port=0
    )
    with pytest.raises(CannotStart, match=r"--engine llama:nowhere\.gguf.*no model file"):
        start_service(settings, CancellationToken())


@pytest.mark.model
def test_llama_in_process_makes_vectors_and_talks() -> None:
    settings = ServeSettings(console="off", engine=("llama=m",), host="127.0.0.1", port=0)
    running = start_service(settings, CancellationToken())
    try:
        with openai.OpenAI(base_url=f"{running.url}/v1", api_key="k", max_retries=0) as sdk:
            one, two = sdk.embeddings.create(model="m", input=["cat", "kitten"]).data
            said = sdk.completions.create(
                model="m", prompt="The capital of France is", max_tokens=1
            )
        assert math.hypot(*one.embedding) == pytest.approx(1, abs=1e-3)
        assert sum(map(mul, one.embedding, two.embedding)) > 0.8
        assert said.choices[0].text == " Paris"
    finally:
        running.stop()
