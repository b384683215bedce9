"""Fixtures shared by the tests of the HTTP service."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from actors.engines.builtin import ENGINES
from actors.engines.echo import EchoEngine
from http_service import HttpService, HttpServiceConfig
from tests.http_service.documented import noting_answers, undocumented
from tests.http_service.leaks import leaks
from tests.http_service.serving import Client, Running, running

LOCAL = HttpServiceConfig(host="127.0.0.1", port=0, threads=8, drain_timeout=3.0)
"""A small service on a port of the system's choice."""


def add_echo(service: HttpService) -> None:
    """Serve the model "echo", as everything that it can be."""
    engine = EchoEngine()
    for kind in ENGINES["echo"].kinds:
        service.model_manager().add_model(kind, "echo", engine)


@pytest.fixture(autouse=True)
def every_status_is_documented() -> Iterator[None]:
    """Whatever a test here is answered, ``/openapi.json`` knows of it."""
    with pytest.MonkeyPatch.context() as patch:
        answered = noting_answers(patch)
        yield
    assert undocumented(answered) == []


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Every test here ends what it began: its threads, its sockets, its files."""
    with leaks():
        yield


@pytest.fixture
def service() -> Iterator[HttpService]:
    """A service that is not running, with the echo model."""
    with HttpService(LOCAL) as made:
        add_echo(made)
        yield made


@pytest.fixture
def live(service: HttpService) -> Iterator[Running]:
    """The service, spawned."""
    with running(service) as it:
        yield it


@pytest.fixture
def client(live: Running) -> Iterator[Client]:
    """A client of the spawned service."""
    made = Client(live.address)
    yield made
    made.close()


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]
