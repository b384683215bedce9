"""Which of a client's headers reach the worker, and that no request goes in a circle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from actors.engines.pool import Pool
from actors.engines.upstream import UpstreamEngine
from actors.engines.via import PSEUDONYM
from http_service import HttpService
from http_service.headers import MAX_PASSED, PRIORITY_HEADER, passed_headers
from tests.engines.pool.fakes import Heard
from tests.engines.raw_server import RawServer, answer, says
from tests.http_service.serving import CHAT, Client, Running

CHAT_PATH = "/v1/chat/completions"
UP = {**CHAT, "model": "up"}
TOLD = b'{"id":"x","object":"chat.completion","created":1,"model":"up","choices":[]}'
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def worker() -> Iterator[RawServer]:
    with RawServer(says(answer(200, TOLD, "content-type: application/json"))) as server:
        yield server


@pytest.fixture
def relay(worker: RawServer, service: HttpService, client: Client) -> Iterator[Client]:
    engine = UpstreamEngine(worker.url)
    service.model_manager().add_chat_completions_model("up", engine)
    yield client
    engine.close()


def test_trace_and_baggage_reach_the_worker_as_they_were_sent(
    relay: Client, worker: RawServer
) -> None:
    sent = {"traceparent": PARENT, "tracestate": "a=1,b=t61rcWkgMzE", "baggage": "k=v;p=1,q=%20"}
    assert relay.call("POST", CHAT_PATH, UP, **sent).status == 200
    (received,) = worker.received
    assert {name: received.headers.get(name) for name in sent} == sent


def test_a_priority_reaches_the_worker_which_may_be_a_front_end_too(
    relay: Client, worker: RawServer
) -> None:
    assert relay.call("POST", CHAT_PATH, UP, **{PRIORITY_HEADER: "7"}).status == 200
    assert worker.received[0].headers[PRIORITY_HEADER] == "7"


def test_a_request_without_them_has_none_of_them(relay: Client, worker: RawServer) -> None:
    assert relay.post(CHAT_PATH, UP).status == 200
    (received,) = worker.received
    assert not {"traceparent", "tracestate", "baggage"} & received.headers.keys()
    assert received.headers["via"] == f"1.1 {PSEUDONYM}"


def test_the_proxies_a_request_has_passed_are_told_to_the_worker(
    relay: Client, worker: RawServer
) -> None:
    assert relay.call("POST", CHAT_PATH, UP, via="1.1 nginx").status == 200
    assert worker.received[0].headers["via"] == f"1.1 nginx, 1.1 {PSEUDONYM}"


@pytest.mark.parametrize(
    ("environ", "passed"),
    [
        ({}, ()),
        ({"HTTP_TRACESTATE": "a=1"}, ()),
        ({"HTTP_BAGGAGE": "a=1", "HTTP_TRACESTATE": "a=1"}, (("baggage", "a=1"),)),
        ({"HTTP_TRACEPARENT": PARENT}, (("traceparent", PARENT),)),
        ({"HTTP_TRACEPARENT": "x\r\ny: z"}, ()),
        ({"HTTP_TRACEPARENT": "x\ty"}, ()),
        ({"HTTP_BAGGAGE": "\xfc=1"}, ()),
        ({"HTTP_BAGGAGE": ""}, ()),
        ({"HTTP_BAGGAGE": "x" * MAX_PASSED}, (("baggage", "x" * MAX_PASSED),)),
        ({"HTTP_BAGGAGE": "x" * (MAX_PASSED + 1)}, ()),
        ({"HTTP_TRACEPARENT": "\x00", "HTTP_TRACESTATE": "a=1"}, ()),
    ],
)
def test_only_what_is_safe_and_short_is_passed_on(
    environ: dict[str, str], passed: tuple[tuple[str, str], ...]
) -> None:
    assert passed_headers(environ) == passed


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_whose_upstream_is_the_service_itself_is_a_508_at_the_first_return(
    service: HttpService, live: Running, client: Client, *, stream: bool
) -> None:
    heard = Heard()
    pool = Pool("loop", listener=heard)
    engines = [UpstreamEngine(f"http://127.0.0.1:{live.address[1]}/v1") for _ in range(3)]
    for number, engine in enumerate(engines):
        engine.probe = None  # type: ignore[assignment, method-assign]  # pyright: ignore[reportAttributeAccessIssue]  # no probes here
        pool.put(str(number), engine)
    service.model_manager().add_chat_completions_model("loop", pool)
    asked = client.post(CHAT_PATH, {**CHAT, "model": "loop", "stream": stream})
    assert (asked.status, asked.error["code"]) == (508, "loop_detected")
    assert sum(each.selections for each in pool.view().instances) == 1
    assert [each.failures for each in pool.view().instances] == [0, 0, 0]
    assert heard.of("retried") == []
    for engine in engines:
        engine.close()


@pytest.mark.parametrize("extra", ["", "1.1 callboard-0123, ", "2.0 cdn.example, 1.0 fred, "])
def test_a_request_that_other_front_ends_sent_back_is_a_508(relay: Client, extra: str) -> None:
    """As when two announce each other: the pseudonym of each is in the list."""
    asked = relay.call("POST", CHAT_PATH, UP, via=f"{extra}1.1 {PSEUDONYM}, 1.1 callboard-4567")
    assert (asked.status, asked.error["code"]) == (508, "loop_detected")
