"""The listening socket: where it binds, what it says when it can't, and that it outlives shares."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from http_service import BindFailed
from http_service.server.server import Listener
from tests.http_service.engines import DEADLINE


def test_port_0_gets_a_port_of_the_systems_choice() -> None:
    listener = Listener("127.0.0.1", 0)

    assert listener.host == "127.0.0.1"
    assert listener.port > 0
    listener.close()


def test_a_taken_port_is_told_in_one_sentence_with_the_cure(taken: int) -> None:
    with pytest.raises(BindFailed) as caught:
        Listener("127.0.0.1", taken)

    assert str(caught.value) == (
        f"port {taken} on 127.0.0.1 is in use: "
        "choose another with --port, or stop the other process"
    )


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine"),
        ("no-such-host.invalid", "'no-such-host.invalid' can't be resolved"),
    ],
)
def test_a_host_that_is_not_ours_is_told_with_the_cure(host: str, words: str) -> None:
    with pytest.raises(BindFailed) as caught:
        Listener(host, 0)

    assert words in str(caught.value)
    assert "--host" in str(caught.value)


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EACCES, "needs privileges"), (errno.ENOBUFS, "can't listen on")]
)
def test_other_reasons_are_told_too(
    monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    class Unbindable(socket.socket):
        """A socket that can't be bound."""

        def bind(self, address: Any) -> None:
            """Fail."""
            raise OSError(number, "for a reason")

    monkeypatch.setattr(socket, "socket", Unbindable)

    with pytest.raises(BindFailed, match=words):
        Listener("127.0.0.1", 0)


def test_connections_wait_while_nobody_accepts() -> None:
    listener = Listener("127.0.0.1", 0)
    share = listener.share()
    share.close()

    with socket.create_connection((listener.host, listener.port), timeout=DEADLINE):
        listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((listener.host, listener.port), timeout=DEADLINE)
