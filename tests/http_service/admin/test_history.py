"""What a running service recorded, and that no request minds when the parts that record it die."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from actors.engines.contract import Context, EngineRequest
from actors.service import Service
from tests.http_service.admin.conftest import Start, admin, change, read
from tests.support.chat import chat, stream_lines
from tests.support.waiting import eventually


def requests(service: Service, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(f"{admin(service)}/requests{query}")[1]["requests"]
    return found


def test_each_request_is_there_with_how_it_ended(start: Start) -> None:
    service = start()
    assert chat(service.url, "echo")[0] == 200
    assert chat(service.url, "nope")[0] == 404
    change(f"{service.url}/v1/chat/completions", {"model": 1})
    good, missing, malformed = requests(service)
    assert (good["status"], good["instance"], good["attempts"]) == (200, "#static", 1)
    assert (missing["status"], missing["outcome"], missing["attempts"]) == (404, "not_found", 0)
    assert (malformed["status"], malformed["model"]) == (400, None)
    assert [each["status"] for each in requests(service, "?status=4xx")] == [404, 400]
    status, detail = read(f"{admin(service)}/requests/{good['id']}")
    assert (status, detail["id"]) == (200, good["id"])
    assert detail["phases"][-1]["end"] == pytest.approx(good["duration"], abs=1e-5)
    assert read(f"{admin(service)}/requests/nope")[0] == 404


def test_other_requests_than_those_of_models_are_not_there(start: Start) -> None:
    service = start()
    read(f"{service.url}/v1/models")
    read(f"{service.url}/ready")
    read(f"{service.url}/made/up")
    assert requests(service) == []


@pytest.mark.parametrize(
    "query", ["?after=x", "?after=-1", "?limit=0", "?status=9xx", "?status=5", "?nope=1", "?limit="]
)
def test_a_wrong_query_is_refused_by_the_name_of_its_field(start: Start, query: str) -> None:
    status, answer = read(f"{admin(start())}/requests{query}")
    assert (status, answer["error"]["code"]) == (400, "invalid_value")


def test_a_sample_comes_every_second(start: Start) -> None:
    service = start()
    chat(service.url, "echo")

    def tokens() -> list[float]:
        document = read(f"{admin(service)}/series")[1]
        found: list[float] = document["models"].get("echo", {}).get("requests", [])
        return found

    eventually(lambda: any(tokens()), 10, "the request was sampled")
    document = read(f"{admin(service)}/series")[1]
    assert document["series"]["memory"][-1] > 1_000_000


def test_an_instance_has_the_median_of_its_first_tokens(start: Start) -> None:
    service = start()
    stream_lines(service.url, "echo")

    def first_tokens() -> list[float | None]:
        instances = read(f"{admin(service)}/models/echo")[1]["instances"]
        return [each["first_token"] for each in instances]

    eventually(lambda: first_tokens()[0], 10, "the request was taken")
    assert first_tokens()[1] is None


@pytest.mark.parametrize("child", ["events", "requests", "recorder", "feed", "admin"])
def test_no_request_fails_while_a_part_is_killed_again_and_again(start: Start, child: str) -> None:
    service = start()
    over, failed = threading.Event(), list[int]()

    def load() -> None:
        while not over.is_set():
            status = chat(service.url, "echo")[0]
            if status != 200:
                failed.append(status)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    address = service.tree.address(child)
    for _ in range(5):
        epoch = address.epoch
        service.tree.kill_child(child)
        eventually(lambda before=epoch: address.epoch > before and address.alive, 10, "it is back")  # type: ignore[misc]  # bound at once
    over.set()
    for thread in threads:
        thread.join(10)
    assert failed == []
    chat(service.url, "echo")
    assert requests(service)[-1]["status"] == 200


def test_what_happened_while_the_log_was_down_is_in_it(start: Start) -> None:
    service = start()
    service.tree.stop_child("events")
    service.tree.stop_child("registry")
    service.tree.restart_child("registry")
    service.tree.restart_child("events")
    found = read(f"{admin(service)}/events")[1]["events"]
    assert ("registry", "ended: shutdown") in [(each["subject"], each["text"]) for each in found]


class Dicts:
    """A generator engine whose last chunk carries usage."""

    def generate(self, request: EngineRequest, context: Context) -> Iterator[dict[str, Any]]:
        del request, context
        delta = {"role": "assistant", "content": "hi"}
        yield {"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]}
        yield {"choices": [], "usage": {"prompt_tokens": 41, "completion_tokens": 1}}


@pytest.mark.parametrize(("model", "expected"), [("echo", (3, 3)), ("dicts", (41, 1))])
def test_the_engines_own_counts_of_tokens_are_there(
    start: Start, model: str, expected: tuple[int, int]
) -> None:
    service = start()
    service.http.model_manager().add_chat_completions_model("dicts", Dicts())
    assert chat(service.url, model, "one two three")[0] == 200
    stream_lines(service.url, model, "one two three", stream_options={"include_usage": True})
    found = [(each["input_tokens"], each["output_tokens"]) for each in requests(service)]
    assert found == [expected, expected]
