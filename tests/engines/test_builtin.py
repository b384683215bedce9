"""The table behind ``--engine``: each row makes an engine, and the service makes what was named."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from actors import CancellationToken, option_types, service
from actors.cli.serve import start_service
from actors.engines import EchoEngine, Kind, as_push_engine
from actors.engines.builtin import ENGINES, BuiltInEngine
from actors.settings.serve import ServeSettings
from tests.support.chat import chat


@pytest.mark.parametrize("name", ENGINES)
def test_each_row_makes_an_engine_and_says_what_it_does(name: str) -> None:
    row = ENGINES[name]
    assert row.name == name
    assert row.help
    assert row.kinds
    assert as_push_engine(row.make())


class Parrot(EchoEngine):
    """Another engine than the echo."""


def test_the_engine_that_was_named_is_the_one_that_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    row = BuiltInEngine("parrot", Parrot, "repeats", kinds=(Kind.CHAT,))
    table = MappingProxyType({**ENGINES, "parrot": row})
    monkeypatch.setattr(option_types, "ENGINES", table)
    monkeypatch.setattr(service, "ENGINES", table)
    engine = (option_types.engine("parrot=polly"), option_types.engine("echo"))
    settings = ServeSettings(engine=engine, host="127.0.0.1", port=0)
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
    with pytest.raises(ValueError, match=r"no engine 'onnx': give echo or echo=MODEL$"):
        option_types.engine("onnx=x")
