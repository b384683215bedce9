"""``x-priority``: which of those who wait for a busy model is served first."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import pytest

from actors.engines import Kind
from actors.engines.pool import InstanceSpec, Pool
from actors.registry import FindPools, PutInstance
from actors.supervision import Address
from http_service import HttpService, ModelManager
from http_service.errors import InvalidValue
from http_service.headers import MAX_PRIORITY, PRIORITY_HEADER, priority_from
from tests.http_service.api.conftest import ASK
from tests.http_service.conftest import LOCAL
from tests.http_service.engines import ManualEngine, token_chunk
from tests.http_service.serving import CHAT, Client, RawClient, eventually, post_bytes, running

PATH = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("given", "priority"), [(None, 0), ("0", 0), ("7", 7), ("+100", 100), ("-100", -100)]
)
def test_a_whole_number_is_read(given: str | None, priority: int) -> None:
    assert priority_from(given) == priority


@pytest.mark.parametrize(
    "given", ["", "high", "1.5", "1e2", " 1", "1_0", "٣", "nan", str(MAX_PRIORITY + 1), "9" * 5000]
)
def test_anything_else_is_refused(given: str) -> None:
    with pytest.raises(InvalidValue, match=PRIORITY_HEADER):
        priority_from(given)


@pytest.mark.parametrize("path", [PATH, "/v1/completions"])
def test_a_wrong_one_is_a_400_that_names_the_header(client: Client, path: str) -> None:
    answer = client.call("POST", path, {**CHAT, "prompt": "x"}, **{PRIORITY_HEADER: "high"})
    assert (answer.status, answer.error["param"]) == (400, PRIORITY_HEADER)
    assert PRIORITY_HEADER in answer.error["message"]


def _came(engine: ManualEngine, pool: Pool, number: int) -> bool:
    return len(engine.requests) + pool.view().waiting == number


def test_a_busy_model_serves_those_who_wait_by_priority_and_then_in_order(
    registry: Address,
) -> None:
    engine, spec = ManualEngine(), InstanceSpec(max_concurrency=1)
    registry.ask(PutInstance(Kind.CHAT, "busy", "one", engine, spec), timeout=ASK)
    (pool,) = registry.ask(FindPools("busy"), timeout=ASK)
    said: list[str | None] = [None, None, "5", "-1", "0", "5"]
    with ExitStack() as stack:
        manager = stack.enter_context(ModelManager(registry))
        it = stack.enter_context(running(HttpService(LOCAL, manager)))
        clients = [stack.enter_context(RawClient(it.address)) for _ in said]
        for number, (client, priority) in enumerate(zip(clients, said, strict=True)):
            body = {**CHAT, "model": "busy", "user": str(number)}
            given = [] if priority is None else [f"{PRIORITY_HEADER}: {priority}"]
            client.send(post_bytes(PATH, body, *given))
            eventually(partial(_came, engine, pool, number + 1), f"{number + 1} came")
        for _ in said:
            sink = engine.wait_started()
            sink.push(token_chunk(Kind.CHAT, "x", finish="stop"))
            sink.finish()
        assert [client.read_answer().status for client in clients] == [200] * len(said)
    assert [request.body["user"] for request in engine.requests] == ["0", "2", "5", "1", "4", "3"]
