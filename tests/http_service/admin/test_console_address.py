"""Where the console listens: its default address may be taken, a given one may not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from actors import service as service_module
from actors.service import Service
from actors.settings.serve import ServeSettings
from actors.supervision import CancellationToken
from http_service import BindFailed


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An address that another process has, as if it were the default one."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        monkeypatch.setattr(service_module, "DEFAULT_CONSOLE", address)
        yield address


def test_a_second_front_end_starts_without_a_console_and_says_so(
    taken: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ServeSettings(host="127.0.0.1", port=0, console=taken)
    service = Service.start(settings, CancellationToken())
    service.stop()
    assert service.admin is None
    assert [each for each in caplog.messages if each.startswith("no console: port ")]


def test_an_address_that_was_asked_for_is_refused(taken: str) -> None:
    sources = {"console": "option"}
    settings = ServeSettings(host="127.0.0.1", port=0, console=taken, sources=sources)
    with pytest.raises(BindFailed, match="choose another with --console"):
        Service.start(settings, CancellationToken())
