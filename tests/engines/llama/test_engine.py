"""The real model, in this process. One thread, few tokens: another suite runs on this machine."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from actors.engines import Context, EngineError, EngineRejected, EngineUnavailable
from actors.engines.llama import LlamaEngine
from actors.engines.llama.host import LlamaServer, LlamaUnusable, bundled_model
from actors.engines.upstream import UpstreamEngine
from actors.supervision.errors import Cancelled
from tests.engines.asking import PARIS, ask, chat, complete
from tests.engines.recording import DEADLINE, RecordingSink, wait_until
from tests.engines.subjects import llama

NAME = "smollm2-135m-instruct"
ENDLESS = chat("Hi", ignore_eos=True, max_tokens=1500)

model = pytest.mark.model


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder that no other test uses; pytest's own is too deep for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def fails(asked: Any) -> EngineError:
    sink = ask(llama(), asked)
    assert sink.ends == ["fail"]
    assert isinstance(sink.error, EngineError)
    return sink.error


def counts(usage: dict[str, int]) -> tuple[int, int, int]:
    """What is in a usage whatever llama.cpp had in its cache."""
    return usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]


@model
def test_the_capital_of_france_is_paris() -> None:
    sink = ask(llama(), chat(PARIS, temperature=0, max_tokens=32))
    assert sink.ends == ["finish"]
    assert sink.text() == "The capital of France is Paris."
    assert sink.finish_reasons() == {0: "stop"}
    usage = sink.objects[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (42, 8)
    assert {chunk["model"] for chunk in sink.objects} == {NAME}


@model
def test_a_prompt_is_counted_as_its_answer_will_say() -> None:
    asked = chat(PARIS)
    assert llama().counts(asked)
    assert llama().count(asked, Context("r")) == 42
    assert not llama().counts(complete("x"))
    with pytest.raises(EngineError):
        llama().count(chat(messages="x"), Context("r"))


@model
def test_a_unary_request_is_answered_in_chunks_too() -> None:
    sink = ask(llama(), chat(PARIS, stream=False, temperature=0, max_tokens=2))
    assert sink.text() == "The capital"
    assert sink.finish_reasons() == {0: "length"}


@model
def test_a_completion_ends_with_one_usage_chunk() -> None:
    sink = ask(llama(), complete("The capital of France is", temperature=0, max_tokens=6))
    assert sink.text() == " Paris.\n\nThe United"
    usages = [chunk["usage"] for chunk in sink.objects if "usage" in chunk]
    assert [counts(usage) for usage in usages] == [(5, 6, 11)]


@model
def test_prompts_and_choices_are_counted_as_openai_does() -> None:
    prompts = ["The capital of France is", "Hi there"]
    sink = ask(llama(), complete(prompts, n=2, temperature=0, max_tokens=2))
    assert set(sink.finish_reasons()) == {0, 1, 2, 3}
    assert sink.text(0) == sink.text(1) == " Paris."
    assert counts(sink.objects[-1]["usage"]) == (7, 8, 15)


@model
def test_a_stop_text_is_honoured() -> None:
    asked = chat("Count from 1 to 10.", temperature=0, max_tokens=16, stop=[". 1"])
    assert ask(llama(), asked).text() == "1"


@model
def test_a_prompt_beyond_the_context_is_the_clients_mistake() -> None:
    error = fails(complete("word " * 2500))
    assert isinstance(error, EngineRejected)
    assert "exceeds the available context size" in error.message
    assert error.code == "context_length_exceeded"


@model
@pytest.mark.parametrize(
    "fields",
    [
        {"messages": "x"},
        {"temperature": "hot"},
        {"n": 99},
        {"seed": 10**30},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
    ],
)
def test_what_the_model_can_not_take_is_rejected(fields: dict[str, Any]) -> None:
    asked = chat("Hi", max_tokens=1)
    body = {**asked.body, **fields}
    # Built by hand: no JSON library of ours would write such a seed.
    asked = type(asked)(asked.kind, asked.model, asked.stream, body, b"")
    assert isinstance(fails(asked), EngineRejected)


@model
def test_an_exception_in_the_sink_ends_the_answer_and_is_not_lost() -> None:
    class Failing(RecordingSink):
        def push(self, chunk: Any, tokens: int = 1) -> None:
            raise LookupError("the sink's own")

    sink = Failing()
    llama().start(ENDLESS, sink, Context("r"))
    sink.wait_for_end()
    assert isinstance(sink.error, LookupError)


@model
def test_a_request_that_waits_for_a_slot_can_be_withdrawn() -> None:
    running = [(RecordingSink(), Context("r")) for _ in range(2)]
    for sink, context in running:
        llama().start(ENDLESS, sink, context)
    for sink, _ in running:
        sink.wait_for_chunks(2)
    waiting, left = RecordingSink(), Context("w")
    llama().start(ENDLESS, waiting, left)
    left.token.cancel()
    assert waiting.ends == ["fail"]
    for sink, context in running:
        context.token.cancel()
        assert isinstance(sink.wait_for_end().error, Cancelled)


@model
def test_closing_breaks_off_and_gives_everything_back(temporary: Path) -> None:
    engine = LlamaEngine(bundled_model(), NAME, n_ctx=512, n_parallel=1)
    assert [path.stat().st_mode & 0o777 for path in temporary.iterdir()] == [0o700]
    sink = RecordingSink()
    engine.start(ENDLESS, sink, Context("r"))
    sink.wait_for_chunks(2)
    assert engine.close(DEADLINE)
    assert isinstance(sink.error, EngineUnavailable)
    assert not [*temporary.iterdir()]
    with pytest.raises(EngineUnavailable):
        engine.start(ENDLESS, RecordingSink(), Context("r"))
    assert engine.close()


@model
def test_a_forgotten_engine_answers_to_the_end_and_is_given_back(temporary: Path) -> None:
    engine = LlamaEngine(bundled_model(), NAME, n_ctx=512, n_parallel=1)
    gone = weakref.ref(engine)
    sink = RecordingSink()
    engine.start(chat("Hi", max_tokens=4, ignore_eos=True), sink, Context("r"))
    del engine
    assert sink.wait_for_end().ends == ["finish"]

    def given_back() -> bool:
        gc.collect()
        return gone() is None and not [*temporary.iterdir()]

    wait_until(given_back)


EXIT_WHILE_GENERATING = """
from actors.engines import Context
from actors.engines.llama import LlamaEngine
from actors.engines.llama.host import bundled_model
from tests.engines.recording import RecordingSink
from tests.engines.llama.test_engine import ENDLESS
sink = RecordingSink()
engine = LlamaEngine(bundled_model(), "m", n_ctx=512, n_parallel=1)
engine.start(ENDLESS, sink, Context("r"))
sink.wait_for_chunks(2)
"""


@model
def test_the_interpreter_can_exit_while_an_answer_runs() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EXIT_WHILE_GENERATING],
        cwd=Path(__file__).parents[3],
        timeout=60,
        capture_output=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


@pytest.fixture(scope="module")
def server_url() -> Iterator[str]:
    server = LlamaServer(bundled_model(), NAME, n_ctx=1024, api_key="k")
    yield server.start()
    assert server.close(DEADLINE)


@model
@pytest.mark.parametrize("stream", [True, False])
def test_the_server_answers_through_an_upstream_engine(server_url: str, stream: bool) -> None:
    engine = UpstreamEngine(server_url, unary="fold", api_key="k")
    sink = ask(engine, chat(PARIS, stream=stream, temperature=0, max_tokens=32))
    assert sink.ends == ["finish"]
    assert sum(sink.tokens) == 7
    assert engine.close()


@model
def test_the_server_asks_for_its_key(server_url: str) -> None:
    engine = UpstreamEngine(server_url, api_key="another")
    sink = ask(engine, chat())
    assert isinstance(sink.error, EngineUnavailable)
    assert "credentials" in sink.error.message
    assert engine.close()


@model
def test_a_server_runs_once_and_closes_twice() -> None:
    server = LlamaServer(bundled_model(), NAME, n_ctx=512)
    url = server.start()
    assert url.startswith("http://127.0.0.1:")
    assert url.endswith("/v1")
    with pytest.raises(RuntimeError, match="was started already"):
        server.start()
    assert server.close(DEADLINE)
    assert server.close(DEADLINE)


@model
def test_a_port_in_use_is_told(server_url: str) -> None:
    port = int(server_url.removesuffix("/v1").rpartition(":")[2])
    with pytest.raises(LlamaUnusable, match=f"is 127.0.0.1:{port} free"):
        LlamaServer(bundled_model(), NAME, port=port, n_ctx=512).start()


@model
def test_a_file_that_is_no_model_is_told(tmp_path: Path, temporary: Path) -> None:
    path = tmp_path / "no.gguf"
    path.write_bytes(b"no model")
    with pytest.raises(LlamaUnusable, match=r"no\.gguf: is it a GGUF model\?$"):
        LlamaEngine(path, NAME)
    assert not [*temporary.iterdir()]


def some_file(folder: Path) -> Path:
    path = folder / "m.gguf"
    path.touch()
    return path


def test_a_missing_extra_is_told_with_its_cure_and_nothing_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(LlamaUnusable, match=r"pip install 'callboard\[llama\]'"):
        LlamaEngine(some_file(tmp_path), NAME)
    assert not [*temporary.iterdir()]


def test_a_missing_system_library_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    def unloadable(name: str) -> NoReturn:
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(importlib, "import_module", unloadable)
    with pytest.raises(LlamaUnusable, match=r"libgomp\.so\.1.*system libraries libgomp1"):
        LlamaEngine(some_file(tmp_path), NAME)
    assert not [*temporary.iterdir()]


def test_a_temporary_folder_too_deep_for_a_socket_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(LlamaUnusable, match="TMPDIR"):
        LlamaEngine(some_file(tmp_path), NAME)
    assert list(deep.iterdir()) == []


@pytest.mark.parametrize("option", ["n_ctx", "n_parallel", "n_threads"])
def test_senseless_settings_are_refused(tmp_path: Path, option: str) -> None:
    senseless: dict[str, Any] = {option: 0}
    with pytest.raises(ValueError, match=f"{option}"):
        LlamaEngine(some_file(tmp_path), NAME, **senseless)


def test_a_model_needs_an_alias_and_a_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="alias"):
        LlamaEngine(some_file(tmp_path), "")
    with pytest.raises(FileNotFoundError, match="nothing"):
        LlamaServer(tmp_path / "nothing.gguf", NAME)
