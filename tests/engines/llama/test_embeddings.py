"""Vectors of the real model, in this process."""

from __future__ import annotations

import base64
import json
import math
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from actors.engines import Context, EngineRejected, Kind
from actors.engines.llama import LlamaEngine
from actors.engines.llama.embeddings import embed
from actors.engines.llama.host import bundled_model
from actors.supervision.errors import Cancelled
from tests.engines.asking import ask, request
from tests.engines.recording import RecordingSink
from tests.engines.subjects import llama

model = pytest.mark.model


@pytest.fixture(scope="module")
def engine() -> Iterator[LlamaEngine]:
    made = LlamaEngine(bundled_model(), "m", n_ctx=1024, n_parallel=1, embedding=True)
    yield made
    assert made.close()


def asked(given: Any, **fields: Any) -> Any:
    return request(Kind.EMBEDDINGS, {"input": given, **fields}, stream=False)


def vectors(sink: RecordingSink) -> list[Any]:
    assert sink.ends == ["answer"]
    assert sink.body is not None
    document = json.loads(sink.body)
    assert [item["index"] for item in document["data"]] == [*range(len(document["data"]))]
    return [item["embedding"] for item in document["data"]]


@model
def test_texts_and_tokens_become_unit_vectors_and_are_counted(engine: LlamaEngine) -> None:
    sink = ask(engine, asked(["cat", "a dog"]))
    one, two = vectors(sink)

    assert len(one) == len(two) == 576
    assert math.hypot(*one) == pytest.approx(1, abs=1e-3)
    assert json.loads(sink.body or b"")["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    assert len(vectors(ask(engine, asked([1, 2, 3])))) == 1
    assert len(vectors(ask(engine, asked([[1, 2], [3]])))) == 2


@model
def test_base64_holds_the_same_numbers(engine: LlamaEngine) -> None:
    (numbers,) = vectors(ask(engine, asked("cat")))
    (packed,) = vectors(ask(engine, asked("cat", encoding_format="base64")))

    assert [*struct.unpack("<576f", base64.b64decode(packed))] == pytest.approx(numbers)


@model
@pytest.mark.parametrize(
    ("given", "why"),
    [("", "empty"), (["a", ""], "empty"), ([10**8], "token"), ("x " * 1100, "too large")],
    ids=str,
)
def test_what_has_no_vector_is_the_clients_mistake(
    engine: LlamaEngine, given: Any, why: str
) -> None:
    error = ask(engine, asked(given)).error
    assert isinstance(error, EngineRejected)
    assert why in error.message.lower()


@model
def test_a_shorter_vector_is_refused_by_name(engine: LlamaEngine) -> None:
    error = ask(engine, asked("x", dimensions=5)).error
    assert isinstance(error, EngineRejected)
    assert error.param == "dimensions"


@model
def test_a_model_that_was_loaded_to_talk_says_so() -> None:
    error = ask(llama(), asked("x")).error
    assert isinstance(error, EngineRejected)
    assert "without embeddings" in error.message


@model
def test_a_batch_ends_soon_after_its_client_left(engine: LlamaEngine) -> None:
    context = Context("r")
    sink = RecordingSink()
    engine.start(asked(["some text"] * 2000), sink, context)
    context.token.cancel()
    sink.wait_for_end()

    assert isinstance(sink.error, Cancelled)


def test_no_input_is_computed_for_a_client_that_has_left() -> None:
    left = threading.Event()
    computed: list[bytes] = []

    def handle(body: bytes) -> bytes:
        computed.append(body)
        left.set()
        return b'{"data": [{"embedding": []}], "usage": {"prompt_tokens": 1}}'

    with pytest.raises(Cancelled):
        embed(asked(["a", "b"]), handle, left.is_set)
    assert len(computed) == 1
