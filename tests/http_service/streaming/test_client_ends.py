"""What clients do to a running service ejects no instance: deadlines, disconnects, the drain."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from actors.engines.pool import ModelSpec, PolicyName, Pool
from actors.engines.upstream import UpstreamEngine
from http_service import HttpService
from tests.engines.pool.fakes import Heard, inflight
from tests.engines.raw_server import STREAM_HEAD, Line, RawServer, chunked
from tests.engines.subjects import event, token
from tests.http_service.engines import DEADLINE
from tests.http_service.serving import CHAT, Client, RawClient, Running
from tests.support.waiting import eventually

CHAT_PATH = "/v1/chat/completions"
REQUESTS = 10


class Scene:
    """A model of three instances that take longer than any client here waits."""

    def __init__(self, stack: ExitStack, live: Running, service: HttpService, begin: bytes) -> None:
        def script(line: Line) -> None:
            line.hear()
            line.say(begin)
            line.wait_for_hang_up()

        self.live, self.heard = live, Heard()
        self.pool = Pool("up", spec=ModelSpec(policy=PolicyName.ROUND_ROBIN), listener=self.heard)
        self.servers = [stack.enter_context(RawServer(script)) for _ in range(3)]
        for server in self.servers:
            engine = UpstreamEngine(server.url)
            engine.probe = None  # type: ignore[assignment, method-assign]  # pyright: ignore[reportAttributeAccessIssue]  # no probes here
            stack.callback(engine.close)
            self.pool.put(server.url, engine)
        service.model_manager().add_chat_completions_model("up", self.pool)

    def ask(self, *, stream: bool, **headers: str) -> RawClient:
        """A client that has sent its request, which has arrived."""
        asked = self.asked
        body = json.dumps({**CHAT, "model": "up", "stream": stream}).encode()
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
        client = RawClient(self.live.address)
        client.send(
            f"POST {CHAT_PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        eventually(lambda: self.asked > asked, DEADLINE, "the request has arrived")
        return client

    @property
    def asked(self) -> int:
        return sum(len(server.received) for server in self.servers)


def by_deadline(scene: Scene, *, stream: bool) -> None:
    client = scene.ask(stream=stream, x_request_timeout="0.05")
    client.read_until(b"upstream_timeout")
    client.sock.close()


def by_leaving(scene: Scene, *, stream: bool) -> None:
    scene.ask(stream=stream).sock.close()


def by_leaving_half(scene: Scene, *, stream: bool) -> None:
    client = scene.ask(stream=stream)
    client.sock.shutdown(1)
    client.sock.close()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "unary"])
@pytest.mark.parametrize(
    "begin", [b"", STREAM_HEAD + chunked(event(token("a")))], ids=["silent", "begun"]
)
@pytest.mark.parametrize("end", [by_deadline, by_leaving, by_leaving_half])
def test_impatient_clients_eject_nobody_and_spend_no_retry(
    stack: ExitStack,
    live: Running,
    service: HttpService,
    end: Callable[..., None],
    begin: bytes,
    *,
    stream: bool,
) -> None:
    scene = Scene(stack, live, service, begin if stream else b"")
    for _ in range(REQUESTS):
        end(scene, stream=stream)
    eventually(lambda: set(inflight(scene.pool).values()) == {0}, DEADLINE, "all were given back")
    assert [each.failures for each in scene.pool.view().instances] == [0, 0, 0]
    assert scene.heard.of("retried") == []
    assert scene.heard.of("ejected") == []
    assert scene.asked == REQUESTS


def test_a_drain_that_cuts_requests_off_blames_nobody(
    stack: ExitStack, live: Running, service: HttpService, client: Client
) -> None:
    scene = Scene(stack, live, service, STREAM_HEAD)
    clients = [scene.ask(stream=True) for _ in range(3)]
    live.stop()
    eventually(lambda: set(inflight(scene.pool).values()) == {0}, DEADLINE, "all were given back")
    assert [each.failures for each in scene.pool.view().instances] == [0, 0, 0]
    assert scene.heard.of("retried") == []
    for each in clients:
        each.sock.close()
    del client
