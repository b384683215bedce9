"""What is long-lived is renewed: connections by age, TLS files when they change."""

from __future__ import annotations

import logging
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from actors.engines import Context
from actors.engines.upstream import Tls, UpstreamEngine
from actors.engines.upstream.connection_pool import MAX_AGE
from actors.engines.upstream.dial import Place
from actors.engines.upstream.names import FRESH
from actors.engines.upstream.tls import RenewedContext
from actors.eventloop import EventLoop, outgoing_connections
from actors.testing import FakeClock
from tests.engines.asking import ask, chat
from tests.engines.raw_server import Line, RawServer, closed_port, says
from tests.engines.recording import DEADLINE, RecordingSink, wait_until
from tests.engines.relaying import STREAM, UNARY
from tests.support.certificates import make_tls_files
from tests.support.etcd import TlsFiles


class Time:
    """A loop on a clock that stands still."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.loop = EventLoop(clock=self.clock.monotonic)


@pytest.fixture
def time() -> Iterator[Time]:
    time = Time()
    yield time
    time.loop.stop()
    wait_until(lambda: not time.loop.running)


# Connections


def test_under_steady_traffic_a_connection_is_kept_until_its_greatest_age(time: Time) -> None:
    with RawServer(says(UNARY)) as server:
        engine = UpstreamEngine(server.url, loop=time.loop)
        for _ in range(int(MAX_AGE * 0.8)):
            assert ask(engine, chat(stream=False)).ends == ["answer"]
            time.clock.advance(1.0)
        assert server.connections == 1
        for _ in range(int(MAX_AGE * 0.4)):
            assert ask(engine, chat(stream=False)).ends == ["answer"]
            time.clock.advance(1.0)
        assert server.connections == 2
        assert engine.close()


def test_a_name_that_moves_under_steady_traffic_is_found(
    time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawServer(says(UNARY)) as old, RawServer(says(UNARY)) as new:
        now = [old]

        def getaddrinfo(*_: object, **__: object) -> list[object]:
            port = int(now[0].url.rpartition(":")[2].removesuffix("/v1"))
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        engine = UpstreamEngine("http://moves.invalid:9", loop=time.loop)
        monkeypatch.setattr("actors.engines.upstream.engine._names._clock", time.clock.monotonic)
        ask(engine, chat(stream=False))
        now[0] = new
        for _ in range(int(MAX_AGE * 1.2)):
            assert ask(engine, chat(stream=False)).ends == ["answer"]
            time.clock.advance(1.0)
        assert new.received
        asked = len(old.received)
        ask(engine, chat(stream=False))
        assert len(old.received) == asked, "nobody goes back"
        assert FRESH < MAX_AGE
        assert engine.close()


def test_the_open_connections_to_upstreams_are_counted(time: Time) -> None:
    wait_until(lambda: outgoing_connections() == 0)

    def silent(line: Line) -> None:
        line.hear()
        line.wait_for_hang_up()

    with RawServer(silent) as server, RawServer(says(UNARY)) as good, ExitStack() as stack:
        engine = UpstreamEngine(server.url, loop=time.loop)
        stack.callback(engine.close)
        contexts = [Context("r") for _ in range(5)]
        for context in contexts:
            engine.start(chat(), RecordingSink(), context)
        wait_until(lambda: len(server.received) == 5)
        assert outgoing_connections() == 5
        kept = UpstreamEngine(good.url, loop=time.loop)
        ask(kept, chat(stream=False))
        assert outgoing_connections() == 6, "kept ones count"
        refused = UpstreamEngine(f"http://127.0.0.1:{closed_port()}", loop=time.loop)
        ask(refused, chat())
        for context in contexts:
            context.token.cancel()
        assert kept.close()
        wait_until(lambda: outgoing_connections() == 0)


# TLS files


def server_with(files: TlsFiles) -> RawServer:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return RawServer(says(STREAM), context)


class Files:
    """The files of two authorities, and the folder from which the engine reads."""

    def __init__(self, folder: Path) -> None:
        self.old = make_tls_files(folder / "old")
        self.new = make_tls_files(folder / "new")
        self.used = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        self.tls = Tls(self.used.ca, self.used.cert, self.used.key)
        self.use(self.old)

    def use(self, files: TlsFiles) -> None:
        for name in ("ca", "cert", "key"):
            self.put(name, getattr(files, name).read_bytes())

    def put(self, name: str, data: bytes) -> None:
        """As a rotation does it: a new file in place of the old one."""
        place: Path = getattr(self.used, name)
        fresh = place.with_suffix(".new")
        fresh.write_bytes(data)
        fresh.replace(place)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_new_connections_use_the_files_that_are_there_now(files: Files) -> None:
    clock = FakeClock()
    context = RenewedContext(files.tls, clock.monotonic)
    assert answers(context, files.old)
    assert not answers(context, files.new)
    files.use(files.new)
    clock.advance(1.0)
    assert answers(context, files.new)
    assert not answers(context, files.old)


def a_folder(files: Files) -> None:
    files.used.key.unlink()
    files.used.key.mkdir()


Break = Callable[[Files], None]
BREAKS: dict[str, Break] = {
    "an authority that is none": lambda files: files.put("ca", b"no certificate"),
    "an empty certificate": lambda files: files.put("cert", b""),
    "a certificate whose key is not there yet": lambda files: files.put(
        "cert", files.new.cert.read_bytes()
    ),
    "no authority": lambda files: files.used.ca.unlink(),
    "a folder": a_folder,
}


@pytest.mark.parametrize("broken", BREAKS)
def test_files_that_can_not_be_used_leave_the_old_ones_in_force_and_are_told_once(
    files: Files, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    clock = FakeClock()
    context = RenewedContext(files.tls, clock.monotonic)
    BREAKS[broken](files)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            clock.advance(1.0)
            assert answers(context, files.old)
    assert [each.message for each in caplog.records].count(
        "changed TLS files can't be used; the old ones stay in force"
    ) == 1
    shutil.rmtree(files.used.key, ignore_errors=True)
    files.use(files.new)
    clock.advance(1.0)
    assert answers(context, files.new)


def test_a_link_that_is_turned_to_another_folder_is_a_change(files: Files, tmp_path: Path) -> None:
    clock = FakeClock()
    data = tmp_path / "data"
    data.symlink_to(tmp_path / "old")
    context = RenewedContext(
        Tls(data / "ca.pem", data / "cert.pem", data / "key.pem"), clock.monotonic
    )
    assert answers(context, files.old)
    other = tmp_path / "data.new"
    other.symlink_to(tmp_path / "new")
    other.replace(data)
    clock.advance(1.0)
    assert answers(context, files.new)


def test_engines_with_the_same_setting_share_one_context(files: Files) -> None:
    same = Tls(files.used.ca, files.used.cert, files.used.key)
    engines = [UpstreamEngine("https://127.0.0.1:1", tls=tls) for tls in (files.tls, same)]
    assert engines[0].place.tls is engines[1].place.tls
    other = UpstreamEngine("https://127.0.0.1:1", tls=Tls(files.used.ca))
    assert other.place.tls is not engines[0].place.tls
    for engine in (*engines, other):
        engine.close()


def answers(context: RenewedContext, files: TlsFiles) -> bool:
    """Whether a new connection to a server with ``files`` gets its answer."""
    with server_with(files) as server:
        engine = UpstreamEngine(server.url, tls=Tls(insecure=True))
        port = engine.place.port
        engine.connections._place = Place("127.0.0.1", port, context)  # pyright: ignore[reportPrivateUsage]  # the clock is the test's
        sink = ask(engine, chat())
        engine.close(DEADLINE)
        return sink.ends == ["finish"]
