"""A running service, real servers behind its model "m", and the makers' clients before it."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import anthropic
import openai

from actors.engines.contract import Kind
from actors.engines.dialect import Dialect, Spoken
from actors.engines.pool import ModelSpec, PolicyName
from actors.engines.upstream import UpstreamEngine
from actors.registry import DropInstance, PutInstance, RegistryActor
from actors.supervision import Child, Supervisor
from http_service import HttpService, HttpServiceConfig, ModelManager
from tests.engines.raw_server import RawServer, Script
from tests.http_service.conftest import LOCAL
from tests.http_service.serving import Client, running

__all__ = ["BODIES", "MODEL_SPEC", "Told", "World", "world"]

ASK = 10.0
BODIES: dict[Dialect, dict[str, Any]] = {
    Dialect.MESSAGES: {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
    },
    Dialect.RESPONSES: {"model": "m", "input": "hi"},
}
MODEL_SPEC = ModelSpec(policy=PolicyName.ROUND_ROBIN, aliases=("alias",))


@dataclass
class Told:
    """What the maker's client made of one stream."""

    text: str = ""
    error: Exception | None = None
    id: str = ""
    first: threading.Event = field(default_factory=threading.Event)


@dataclass
class World:
    """A running service, the servers behind its model "m", and the makers' clients."""

    client: Client
    messages: anthropic.Anthropic
    responses: openai.OpenAI
    servers: list[RawServer]

    def whole(self, dialect: Dialect) -> Told:
        """One answer in one piece."""
        if dialect is Dialect.MESSAGES:
            create: Any = self.messages.messages.create
            message: Any = create(**BODIES[dialect])
            return Told(message.content[0].text, id=message.id)
        respond: Any = self.responses.responses.create
        response: Any = respond(**BODIES[dialect])
        return Told(response.output_text, id=response.id)

    def stream(self, dialect: Dialect, told: Told | None = None) -> Told:
        """One streamed answer, with the maker's helper; ``told`` is filled as it comes."""
        told = told or Told()
        try:
            if dialect is Dialect.MESSAGES:
                self._message(told)
            else:
                self._response(told)
        except (anthropic.APIError, openai.APIError, RuntimeError) as error:
            told.error = error
        return told

    def _message(self, told: Told) -> None:
        ask: Any = self.messages.messages.stream
        with ask(**BODIES[Dialect.MESSAGES]) as stream:
            for piece in stream.text_stream:
                told.text += piece
                told.first.set()
            told.id = stream.get_final_message().id

    def _response(self, told: Told) -> None:
        ask: Any = self.responses.responses.stream
        with ask(**BODIES[Dialect.RESPONSES]) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    told.text += event.delta
                    told.first.set()
                if event.type == "response.failed":
                    told.id = event.response.id
            told.id = stream.get_final_response().id

    def events(self, dialect: Dialect, **fields: Any) -> bytes:
        """The bytes of one stream."""
        body = {**BODIES[dialect], "stream": True, **fields}
        return self.client.post(f"/v1/{dialect}", body).body


@contextmanager
def world(
    *instances: tuple[Script, tuple[Spoken, ...]],
    config: HttpServiceConfig = LOCAL,
    spec: ModelSpec = MODEL_SPEC,
    **options: Any,
) -> Generator[World]:
    """The model "m" with these servers, each with what its entry says that it speaks."""
    tree = Supervisor.start(Child("registry", RegistryActor.start, hand_over=True), name="test")
    registry = tree.address("registry")
    with ExitStack() as stack:
        stack.callback(tree.stop, timeout=ASK)
        servers = [stack.enter_context(RawServer(script)) for script, _ in instances]
        engines = [
            UpstreamEngine(server.url, speaks=speaks, **options)
            for server, (_, speaks) in zip(servers, instances, strict=True)
        ]
        for number, engine in enumerate(engines):
            stack.callback(engine.close)
            put = PutInstance(Kind.CHAT, "m", str(number), engine, model_spec=spec)
            registry.ask(put, timeout=ASK)
            # Else its pool would probe a server that is gone, beside the tests that follow.
            gone = DropInstance(Kind.CHAT, "m", str(number))
            stack.callback(registry.ask, gone, timeout=ASK)
        manager = stack.enter_context(ModelManager(registry))
        service = stack.enter_context(HttpService(config, manager))
        live = stack.enter_context(running(service))
        client = Client(live.address)
        stack.callback(client.close)
        retries: Any = {"api_key": "none", "max_retries": 0, "timeout": 20}
        yield World(
            client,
            stack.enter_context(anthropic.Anthropic(base_url=service.url, **retries)),
            stack.enter_context(openai.OpenAI(base_url=f"{service.url}/v1", **retries)),
            servers,
        )
