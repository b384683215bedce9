"""``POST /v1/embeddings``: in process and relayed, with OpenAI's client and byte by byte."""

from __future__ import annotations

import base64
import json
import math
import struct
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import openai
import pytest

from actors.engines.contract import Chunk, Context, EngineRequest, Kind
from actors.engines.upstream import UpstreamEngine
from http_service import HttpService
from http_service.api.endpoints import embeddings
from http_service.streaming.document_exchange import INLINE_DOCUMENT
from tests.engines.raw_server import Line, RawServer, answer
from tests.http_service.serving import Client, Running

PATH = "/v1/embeddings"
VECTOR = [0.5, -0.25, 1.0]
BASE64 = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()


def told(*vectors: object) -> bytes:
    """What a worker answers, written as no JSON writer of ours would."""
    data = [
        {"object": "embedding", "embedding": vector, "index": index, "own": 1}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    return json.dumps({"model": "w", "data": data, "object": "list", "usage": usage}).encode()


class Worker(RawServer):
    """Answers every request with ``told``."""

    def __init__(self) -> None:
        super().__init__(self._talk)
        self.told = told(VECTOR)

    def _talk(self, line: Line) -> None:
        while True:
            line.hear()
            line.say(answer(200, self.told, "content-type: application/json"))


@pytest.fixture
def sdk(live: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{live.service.url}/v1", api_key="k", max_retries=0) as made:
        yield made


@pytest.fixture
def worker() -> Iterator[Worker]:
    with Worker() as server:
        yield server


@pytest.fixture
def relay(worker: Worker, service: HttpService, live: Running) -> Iterator[Client]:
    """A client of a service whose embedding model "up" is ``worker``."""
    engine = UpstreamEngine(worker.url, unary="fold")
    service.model_manager().add_model(Kind.EMBEDDINGS, "up", engine)
    client = Client(live.address)
    yield client
    client.close()
    engine.close()


def vectors(answered: Mapping[str, Any]) -> list[Any]:
    return [each["embedding"] for each in answered["data"]]


INPUTS: list[tuple[Any, int, int]] = [
    ("hello there", 1, 2),
    (["a", "b c"], 2, 3),
    ([1, 2, 3], 1, 3),
    ([[1, 2], [3]], 2, 3),
]


@pytest.mark.parametrize(("given", "count", "tokens"), INPUTS, ids=str)
@pytest.mark.parametrize("form", ["float", "base64", None])
def test_echo_gives_unit_vectors_for_whatever_the_python_client_sends(
    sdk: openai.OpenAI, given: Any, count: int, tokens: int, form: Any
) -> None:
    asked: dict[str, Any] = {} if form is None else {"encoding_format": form}
    made = sdk.embeddings.create(model="echo", input=given, **asked)

    assert [each.index for each in made.data] == [*range(count)]
    for each in made.data:
        numbers: Any = each.embedding
        if isinstance(numbers, str):  # asked for in so many words, the client leaves it
            numbers = struct.unpack("<64f", base64.b64decode(numbers))
        assert math.hypot(*numbers) == pytest.approx(1)
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (tokens, tokens)


def test_equal_inputs_have_equal_vectors_and_others_have_others(client: Client) -> None:
    body = {"model": "echo", "input": ["a", "b", "a"], "dimensions": 5}
    first, second, third = vectors(client.post(PATH, body).json())

    assert first == third != second
    assert len(first) == 5


def test_floats_of_a_worker_are_packed_for_the_client_that_asks_for_base64(
    relay: Client, worker: Worker
) -> None:
    body = {"model": "up", "input": "x", "encoding_format": "base64"}
    answered = relay.post(PATH, body).json()

    assert vectors(answered) == [BASE64]
    assert answered["data"][0]["own"] == 1
    assert answered["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    assert json.loads(worker.received[-1].body) == body


def test_base64_of_a_worker_is_unpacked_for_the_client_that_asks_for_floats(
    relay: Client, worker: Worker
) -> None:
    worker.told = told(BASE64, BASE64)
    for asked in ({}, {"encoding_format": "float"}, {"encoding_format": None}):
        assert vectors(relay.post(PATH, {"model": "up", "input": "x", **asked}).json()) == [
            VECTOR, VECTOR,
        ]  # fmt: skip


@pytest.mark.parametrize(("form", "vector"), [("float", VECTOR), ("base64", BASE64)])
def test_what_is_as_asked_passes_byte_for_byte_both_ways(
    relay: Client, worker: Worker, form: str, vector: object
) -> None:
    body = told(vector)
    worker.told = body
    raw = f'{{"model" : "up", "input":["x"],"encoding_format":"{form}", "own":1e2}}'.encode()
    answered = relay.call("POST", PATH, raw)

    assert (answered.status, answered.body) == (200, body)
    assert worker.received[-1].body == raw
    assert worker.received[-1].line.startswith("POST /v1/embeddings ")


def test_the_python_client_reads_a_relayed_vector(
    sdk: openai.OpenAI, relay: Client, worker: Worker
) -> None:
    del relay
    assert sdk.embeddings.create(model="up", input="x").data[0].embedding == VECTOR
    assert json.loads(worker.received[-1].body)["encoding_format"] == "base64"


@pytest.mark.parametrize("vector", [{"a": 1}, ["a"], [[1.0]], 5, "###", [1e300]], ids=str)
def test_what_is_no_vector_is_a_502(relay: Client, worker: Worker, vector: object) -> None:
    base64_asked = not isinstance(vector, str)
    worker.told = told([1.0] if base64_asked else BASE64, vector)
    form = "base64" if base64_asked else "float"

    refused = relay.post(PATH, {"model": "up", "input": "x", "encoding_format": form})
    assert refused.status == 502
    assert "vectors" in refused.error["message"]


@pytest.mark.parametrize(
    "body", [b"<html>", b"", b'{"data":', b'{"error":{"message":"no"}}', b'{"object":"error"}']
)
def test_what_is_no_answer_is_a_502(relay: Client, worker: Worker, body: bytes) -> None:
    worker.told = body
    assert relay.post(PATH, {"model": "up", "input": "x"}).status == 502


def test_numbers_that_are_no_json_pass_as_they_came(relay: Client, worker: Worker) -> None:
    body = told([math.nan])
    worker.told = body
    assert relay.post(PATH, {"model": "up", "input": "x"}).body == body


def test_a_long_batch_is_converted_beside_the_event_loop(
    relay: Client, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[str] = set()
    convert = embeddings._packed  # pyright: ignore[reportPrivateUsage]  # to see where it runs

    def noted(vector: Any) -> str:
        threads.add(threading.current_thread().name)
        return convert(vector)

    monkeypatch.setattr(embeddings, "_packed", noted)
    worker.told = told(*[VECTOR * 1000] * 40)
    body = {"model": "up", "input": "x", "encoding_format": "base64"}
    made = relay.post(PATH, body).json()

    assert len(worker.told) > INLINE_DOCUMENT
    assert [len(base64.b64decode(vector)) for vector in vectors(made)] == [12_000] * 40
    assert threads == {"reshape"}

    worker.told = told(*[VECTOR * 1000] * 40, {"no": "vector"})
    assert relay.post(PATH, body).status == 502


def test_numbers_that_are_no_json_are_packed_as_well(relay: Client, worker: Worker) -> None:
    worker.told = told([math.nan])
    body = {"model": "up", "input": "x", "encoding_format": "base64"}
    (packed,) = vectors(relay.post(PATH, body).json())
    assert math.isnan(*struct.unpack("<f", base64.b64decode(packed)))


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "input"),
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": {"text": "x"}}, "input"),
    ({"input": [1.5]}, "input[0]"),
    ({"input": ["a", None]}, "input[1]"),
    ({"input": [[1, "a"]]}, "input[0][1]"),
    ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
    ({"input": "x", "dimensions": 0}, "dimensions"),
    ({"input": "x", "dimensions": 2.5}, "dimensions"),
    ({"input": "x", "dimensions": 1e6}, "dimensions"),
    ({"input": "x", "stream": True}, "stream"),
    ({"input": "x", "user": 5}, "user"),
]


@pytest.mark.parametrize(("fields", "param"), BAD, ids=str)
def test_bad_input_is_a_400_that_names_the_field(
    client: Client, fields: dict[str, Any], param: str
) -> None:
    refused = client.post(PATH, {"model": "echo", **fields})

    assert (refused.status, refused.error["param"]) == (400, param)
    assert refused.error["type"] == "invalid_request_error"


def test_a_model_that_only_generates_is_a_404(client: Client, service: HttpService) -> None:
    service.model_manager().add_chat_completions_model("talker", Yields())
    assert client.post(PATH, {"model": "talker", "input": "x"}).status == 404


class Yields:
    """An engine that is a generator."""

    def __init__(self, *chunks: Any) -> None:
        self.chunks = chunks

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        """The chunks."""
        del request, context
        yield from self.chunks


def test_a_generator_engine_yields_its_document(client: Client, service: HttpService) -> None:
    document: dict[str, Any] = {"object": "list", "data": []}
    service.model_manager().add_model(Kind.EMBEDDINGS, "own", Yields(document))
    assert client.post(PATH, {"model": "own", "input": "x"}).json() == document


@pytest.mark.parametrize(
    "chunks", [(), (b"data: {}\n\n",), ({"a": 1}, {"a": 2}), ({"error": {"message": "no"}},)]
)
def test_an_engine_that_gives_anything_else_is_a_502(
    client: Client, service: HttpService, chunks: tuple[Any, ...]
) -> None:
    service.model_manager().add_model(Kind.EMBEDDINGS, "own", Yields(*chunks))
    assert client.post(PATH, {"model": "own", "input": "x"}).status == 502


def test_it_is_counted_under_its_own_name(client: Client) -> None:
    client.post(PATH, {"model": "echo", "input": "x"})
    counted = [
        line for line in client.get("/metrics").body.decode().splitlines()
        if 'endpoint="embeddings"' in line and "requests_total" in line
    ]  # fmt: skip
    assert len(counted) == 1
    assert 'request_type="unary"' in counted[0]
    assert counted[0].endswith(" 1.0")
