"""The self-check: quiet with the Waitress we know, and loud with any other."""

from __future__ import annotations

import functools
import socket
import tomllib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import WSGITask

from http_service import HttpService
from http_service.server.waitress_check import (
    KNOWN,
    TABLE,
    Internal,
    UnsupportedWaitress,
    mismatches,
)
from tests.http_service.conftest import LOCAL
from tests.http_service.leaks import leaks


def test_the_pinned_waitress_is_the_one_that_we_know() -> None:
    assert mismatches() == []


def test_each_internal_stands_once_and_says_why() -> None:
    names = [(part.owner, part.name) for part in TABLE]

    assert len(names) == len(set(names))
    assert all(part.why for part in TABLE)


@pytest.mark.parametrize("part", TABLE, ids=lambda part: f"{part.owner}.{part.name}")
def test_each_row_can_fail(part: Internal) -> None:
    gone = replace(part, name=f"{part.name}_that_is_gone")
    assert len(mismatches((gone,))) == 1
    if part.shape:
        assert len(mismatches((replace(part, shape="(something_else)"),))) == 1


def changed_service(_self: object, request: object) -> None:
    """A method whose parameters are no longer what they were."""


CHANGES: list[tuple[Any, str, Any, str]] = [
    (HTTPChannel, "service", changed_service, "channel.service is (request: 'object'), not ()"),
    (WSGITask, "write", None, "task.write is NoneType, not (data)"),
    (HTTPChannel, "will_close", 0, "channel.will_close is int, not bool"),
    (TcpWSGIServer, "channel_class", "gone", "server.channel_class is str, not type"),
]


@pytest.mark.parametrize(("owner", "name", "value", "said"), CHANGES)
def test_a_changed_waitress_is_told_with_what_it_was_needed_for(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, value: Any, said: str
) -> None:
    monkeypatch.setattr(owner, name, value)

    (told,) = mismatches()
    assert told.startswith(said)
    assert "(needed: " in told


def test_a_waitress_that_cannot_even_be_built_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(_self: object, _server: object) -> None:
        pytest.fail("never called with these arguments")

    monkeypatch.setattr(HTTPChannel, "__init__", changed)

    (told,) = mismatches()
    assert told.startswith("waitress can't be built as we know it: TypeError")


def test_a_channel_that_sets_more_than_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = HTTPChannel.__init__

    @functools.wraps(stock)
    def more(self: Any, *arguments: Any, **options: Any) -> None:
        stock(self, *arguments, **options)
        self.novelty = 1

    monkeypatch.setattr(HTTPChannel, "__init__", more)

    assert mismatches() == ["channel.novelty is set by its __init__, which ours does not do"]


def test_the_check_leaves_nothing_behind() -> None:
    mismatches()
    with leaks(deadline=0.5):
        for _ in range(5):
            mismatches()


def test_a_service_on_an_unknown_waitress_refuses_to_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(HTTPChannel, "will_close", 0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with HttpService(replace(LOCAL, port=port)) as service:
        with pytest.raises(UnsupportedWaitress) as caught:
            service.bind()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))

    message = str(caught.value)
    assert f"Waitress {version('waitress')} is installed" in message
    assert "channel.will_close is int, not bool" in message
    assert message.endswith(f"run pip install 'waitress{KNOWN}'")
    assert "\n" not in message


def test_the_known_versions_are_those_that_are_installed() -> None:
    project = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text())
    assert f"waitress{KNOWN}" in project["project"]["dependencies"]
