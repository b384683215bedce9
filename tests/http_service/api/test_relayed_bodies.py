"""What a client may send reaches the worker byte for byte, however it was compressed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from actors.engines.upstream import UpstreamEngine
from http_service import HttpService
from tests.engines.raw_server import RawServer, answer, says
from tests.http_service.engines import DEADLINE
from tests.http_service.serving import CHAT, Client, Running

CHAT_PATH, TEXT_PATH = "/v1/chat/completions", "/v1/completions"
TOLD = b'{"id":"x","object":"chat.completion","created":1,"model":"up","choices":[]}'
HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def worker() -> Iterator[RawServer]:
    with RawServer(says(answer(200, TOLD, "content-type: application/json"))) as server:
        yield server


@pytest.fixture
def relay(worker: RawServer, service: HttpService, live: Running) -> Iterator[Client]:
    """A client of a service whose model "up" is ``worker``."""
    engine = UpstreamEngine(worker.url)
    service.model_manager().add_chat_completions_model("up", engine)
    service.model_manager().add_completions_model("up", engine)
    client = Client(live.address)
    yield client
    client.close()
    engine.close()


ALLOWED: list[tuple[str, str]] = [
    (CHAT_PATH, f'"messages":[{{"role":"user","content":"x"}}],{extra}')
    for extra in (
        '"max_tokens":0',
        '"max_tokens":-1',
        '"max_tokens":256.0',
        '"max_completion_tokens":0',
        '"temperature":2.5',
        '"stop":["a","b","c","d","e"]',
        '"n":0',
        '"n":129',
        '"top_p":1.5,"frequency_penalty":9,"presence_penalty":-9,"top_logprobs":50',
        '"seed":-1.0,"logit_bias":{"5":1e3}',
        '"metadata":null,"min_p":0.1,"chat_template_kwargs":{"enable_thinking":false}',
    )
] + [
    (TEXT_PATH, extra)
    for extra in (
        '"prompt":null',
        '"prompt":""',
        '"best_of":1',
        '"prompt":"x","best_of":0',
        '"prompt":[]',
        '"prompt":["",""]',
        '"prompt":[1,2,3.0]',
        '"prompt":[[1],"x",2]',
        '"prompt":"x","logprobs":50,"max_tokens":0',
    )
]


@pytest.mark.parametrize(("path", "fields"), ALLOWED)
def test_what_the_api_allows_reaches_the_worker_as_it_was_sent(
    relay: Client, worker: RawServer, path: str, fields: str
) -> None:
    raw = f'{{"model":"up",{fields}}}'.encode()

    assert relay.call("POST", path, raw).status == 200
    assert worker.received[-1].body == raw


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
    "": bytes,
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [1, 400_000])
def test_a_compressed_body_is_relayed_as_it_was_before(
    relay: Client, worker: RawServer, coding: str, size: int
) -> None:
    raw = json.dumps({**CHAT, "model": "up", "user": os.urandom(size).hex()}).encode()
    answered = relay.call("POST", CHAT_PATH, CODINGS[coding](raw), content_encoding=coding)

    assert answered.status == 200
    assert worker.received[-1].body == raw
    assert "content-encoding" not in worker.received[-1].headers


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip, zstd"])
def test_another_coding_is_a_415_that_names_it(
    relay: Client, worker: RawServer, coding: str
) -> None:
    refused = relay.call("POST", CHAT_PATH, b"x" * 100, content_encoding=coding)

    assert refused.status == 415
    assert coding.split(", ")[-1] in refused.error["message"]
    assert refused.headers["accept-encoding"] == "gzip, deflate"
    assert worker.received == []


def test_a_bomb_is_a_413(relay: Client, worker: RawServer, service: HttpService) -> None:
    bomb = gzip.compress(bytes(service.config.body_limit + 1))

    assert relay.call("POST", CHAT_PATH, bomb, content_encoding="gzip").status == 413
    assert worker.received == []


def test_what_is_not_gzip_is_a_400_that_says_so(relay: Client) -> None:
    refused = relay.call("POST", CHAT_PATH, b'{"model":"up"}', content_encoding="gzip")

    assert refused.status == 400
    assert "gzip" in refused.error["message"]


SDK_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("completions", {"prompt": None}),
    ("completions", {"prompt": ""}),
    ("completions", {"prompt": "x", "max_tokens": 0, "best_of": 0}),
    ("completions", {"prompt": [[1, 2], [3]], "logprobs": 0}),
    ("chat.completions", {"messages": HELLO, "max_tokens": -1}),
    ("chat.completions", {"messages": HELLO, "max_completion_tokens": 0}),
    ("chat.completions", {"messages": HELLO, "temperature": 2.5, "n": 200, "seed": -1}),
    ("chat.completions", {"messages": HELLO, "stop": ["a", "b", "c", "d", "e"]}),
]


@pytest.mark.parametrize(("method", "fields"), SDK_CALLS, ids=str)
@pytest.mark.usefixtures("relay")
def test_the_python_client_is_answered(live: Running, method: str, fields: dict[str, Any]) -> None:
    with openai.OpenAI(base_url=f"{live.service.url}/v1", api_key="k", max_retries=0) as sdk:
        create: Any = sdk.completions.create if method == "completions" else None
        create = create or sdk.chat.completions.create
        assert create(model="up", **fields).choices == []


SCRIPT = """
import OpenAI from "openai";
const sdk = new OpenAI({ baseURL: process.argv[2], apiKey: "k", maxRetries: 0 });
for (const [method, fields] of JSON.parse(process.argv[3])) {
  const api = method === "completions" ? sdk.completions : sdk.chat.completions;
  const told = await api.create({ model: "up", ...fields });
  if (told.choices.length !== 0) throw new Error(method);
}
"""


def node_modules() -> Path:
    """Where node's openai package is; skips the test without one."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node and npm are not installed")
    root = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, timeout=60)
    for each in (os.environ.get("NODE_PATH", ""), root.stdout.strip()):
        if each and (Path(each) / "openai").is_dir():
            return Path(each)
    pytest.skip("node's openai is not installed: npm install -g openai")


@pytest.mark.usefixtures("relay")
def test_the_node_client_is_answered(live: Running, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(node_modules())
    script = tmp_path / "calls.mjs"
    script.write_text(SCRIPT)
    done = subprocess.run(
        ["node", script, f"{live.service.url}/v1", json.dumps(SDK_CALLS)],
        capture_output=True,
        text=True,
        timeout=6 * DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
