"""An HTTP server on loopback that says, byte for byte, what a test's script says."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.engines.recording import DEADLINE

FIXTURES = Path(__file__).parent / "fixtures"

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"


def capture(name: str) -> bytes:
    """The raw bytes of a real server's answer."""
    return (FIXTURES / name).read_bytes()


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def answer(status: int, body: bytes, *headers: str) -> bytes:
    """A complete answer that leaves the connection open."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass(frozen=True)
class Received:
    """One request, as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


class Line:
    """One connection, seen from the server."""

    def __init__(self, sock: socket.socket, received: list[Received]) -> None:
        self.sock = sock
        self._received = received
        self._input = sock.makefile("rb")

    def hear(self) -> Received:
        """The next request, its body included; raises ``EOFError`` when there is none."""
        line = self._input.readline()
        if not line:
            raise EOFError
        headers: dict[str, str] = {}
        while (header := self._input.readline().strip()) != b"":
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self._input.read(int(headers.get("content-length", 0)))
        received = Received(line.decode().strip(), headers, body)
        self._received.append(received)
        return received

    def say(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait_for_hang_up(self) -> None:
        """Block until the peer ended the connection."""
        with contextlib.suppress(ConnectionError):
            assert self._input.read(1) == b""

    def reset(self) -> None:
        """End the connection with a RST, as a killed process on another host would."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def close(self) -> None:
        self._input.close()
        self.sock.close()


Script = Callable[[Line], None]


def says(*parts: bytes) -> Script:
    """A script that answers each request on a connection with ``parts``."""

    def script(line: Line) -> None:
        while True:
            line.hear()
            for part in parts:
                line.say(part)

    return script


def says_once(*parts: bytes) -> Script:
    """A script that answers one request with ``parts`` and hangs up."""

    def script(line: Line) -> None:
        line.hear()
        for part in parts:
            line.say(part)

    return script


class RawServer:
    """Runs ``script`` for each connection, on a thread of its own."""

    def __init__(self, script: Script, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._lines: list[Line] = []
        self.received: list[Received] = []
        self.failures: list[BaseException] = []
        self.hung_up = threading.Event()
        self.connections = 0
        port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/v1"
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(DEADLINE)
        self._listener.close()
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()
        assert not self.failures, self.failures

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            line = Line(sock, self.received)
        except OSError:  # the client broke off the handshake
            sock.close()
            return
        self._lines.append(line)
        try:
            self._script(line)
        except (EOFError, ConnectionError):
            pass
        except BaseException as error:  # noqa: BLE001  # told to the test on leaving
            self.failures.append(error)
        finally:
            line.close()
            self.hung_up.set()


def loopback_tls() -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1 that only tests trust."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(FIXTURES / "loopback.pem")
    return context


def closed_port() -> int:
    """A port on loopback where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
