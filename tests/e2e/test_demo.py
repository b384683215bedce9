"""``make run`` in miniature: etcd, a real language model, the service; and the exact answer."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE

import openai
import pytest

from tests.support.callboard import Callboard, run_to_end
from tests.support.chat import chat, stream_lines

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]

MODEL = "smollm2-135m-instruct"
QUESTION = "What is the capital of France? Answer in one sentence."
ANSWER = "The capital of France is Paris."
DEADLINE = 180.0


def test_a_demo_that_was_killed_leaves_nothing_once_another_one_ran(tmp_path: Path) -> None:
    left = tmp_path / "callboard-demo-killed"
    left.mkdir()
    (left / "lock").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_to_end("demo", "--port", port, environment={"TMPDIR": str(tmp_path)})
    assert (done.returncode, "in use" in done.stderr) == (1, True)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def demo() -> Iterator[Callboard]:
    with Callboard("demo", "--port", "0") as process:
        process.wait_for("Ctrl-C ends it all", DEADLINE)
        yield process
        process.signal(signal.SIGTERM)
        assert process.exit_code(60) == 0


def test_it_prints_where_it_listens_a_curl_line_and_a_python_snippet(demo: Callboard) -> None:
    assert demo.url.startswith("http://127.0.0.1:")
    assert f"curl {demo.url}/v1/chat/completions" in demo.output
    assert f'OpenAI(base_url="{demo.url}/v1"' in demo.output


def test_the_snippet_that_it_prints_runs(demo: Callboard) -> None:
    printed = [line[4:] for line in demo.output.splitlines() if line.startswith("out ")]
    begin = next(i for i, line in enumerate(printed) if "from openai import" in line)
    end = next(i for i, line in enumerate(printed) if "Ctrl-C" in line)
    snippet = textwrap.dedent("\n".join(printed[begin:end]))
    # The model may tell its story for a minute: that it begins is enough.
    with subprocess.Popen([sys.executable, "-c", snippet], stdout=PIPE, stderr=PIPE) as client:
        assert client.stdout is not None
        assert client.stderr is not None
        said = client.stdout.read(20)
        client.kill()
        assert said.strip(), client.stderr.read().decode()


def test_the_real_model_answers_in_one_piece(demo: Callboard) -> None:
    status, body = chat(demo.url, MODEL, QUESTION, temperature=0, max_tokens=32)
    assert status == 200
    assert body["choices"][0]["message"]["content"] == ANSWER
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["prompt_tokens"] == 42
    assert body["usage"]["completion_tokens"] == 8


def test_the_real_model_streams_the_same_answer_and_usage(demo: Callboard) -> None:
    options = {"temperature": 0, "max_tokens": 32, "stream_options": {"include_usage": True}}
    lines = stream_lines(demo.url, MODEL, QUESTION, **options)
    assert lines[-1] == "data: [DONE]"
    events = [json.loads(line[6:]) for line in lines[:-1] if line.startswith("data: ")]
    text = "".join(
        choice["delta"].get("content") or "" for event in events for choice in event["choices"]
    )
    assert text == ANSWER
    usage = [event["usage"] for event in events if event.get("usage")]
    assert (usage[-1]["prompt_tokens"], usage[-1]["completion_tokens"]) == (42, 8)


def test_the_openai_client_lists_chats_completes_and_streams(demo: Callboard) -> None:
    with openai.OpenAI(base_url=f"{demo.url}/v1", api_key="none", max_retries=0) as client:
        assert [model.id for model in client.models.list()] == [MODEL]
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": QUESTION}],
            temperature=0,
            max_tokens=32,
        )
        assert answer.choices[0].message.content == ANSWER
        text = client.completions.create(
            model=MODEL, prompt="The capital of France is", temperature=0, max_tokens=2
        )
        assert text.choices[0].text.startswith(" Paris")
        pieces = client.completions.create(
            model=MODEL,
            prompt="The capital of France is",
            temperature=0,
            max_tokens=2,
            stream=True,
        )
        assert "".join(p.choices[0].text for p in pieces if p.choices) == text.choices[0].text
        with pytest.raises(openai.NotFoundError) as missing:
            client.models.retrieve("ghost")
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(model=MODEL, messages=[])
