"""Services that need a key, and a registry to put instances into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from falcon import testing

from actors.registry import RegistryActor
from actors.supervision import Address, Child, Supervisor
from http_service import HttpService, ModelManager
from tests.http_service.conftest import LOCAL, add_echo
from tests.http_service.serving import (
    Running,
    running,
)

__all__ = ["ASK", "BROKEN", "KEY", "OTHER", "ask"]

ASK = 5.0
"""Seconds that a registry has to reply."""

KEY = "sk-first-0123456789"
OTHER = "sk-other-0123456789"

BROKEN = {
    "vanished": None,
    "empty": b"",
    "only comments": b"# nothing\n\n",
    "two words in a line": b"sk-first-0123456789 alice\n",
    "a short key": b"abc\n",
    "bytes": b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\xff",
}


@pytest.fixture
def registry() -> Iterator[Address]:
    """A registry that is alone in its tree."""
    tree = Supervisor.start(Child("registry", RegistryActor.start, hand_over=True), name="test")
    yield tree.address("registry")
    tree.stop(timeout=ASK)


@pytest.fixture
def web(registry: Address) -> Iterator[testing.TestClient]:
    """The application of a service with that registry."""
    with ModelManager(registry) as manager, HttpService(LOCAL, manager) as service:
        yield testing.TestClient(service.app)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.txt"
    path.write_text(f"# ours\n\n{KEY}\n")
    return path


@pytest.fixture
def locked(file: Path) -> Iterator[HttpService]:
    with HttpService(replace(LOCAL, api_key_file=str(file))) as service:
        add_echo(service)
        yield service


@pytest.fixture
def locked_live(locked: HttpService) -> Iterator[Running]:
    with running(locked) as it:
        yield it


def ask(service: HttpService, path: str, **headers: str) -> testing.Result:
    return testing.TestClient(service.app).simulate_get(path, headers=headers)
