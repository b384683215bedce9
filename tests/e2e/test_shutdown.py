"""Shutdown of a real process: the stream in flight ends well, new work is refused, codes tell."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

import pytest

from tests.support.callboard import Callboard
from tests.support.chat import get_models, stream_lines, wait_for_model
from tests.support.etcd import EtcdServer
from tests.support.slow_upstream import SlowUpstream
from tests.support.waiting import eventually

MODEL = "slow"


@contextmanager
def serving_slowly(
    etcd: EtcdServer, root: str, upstream: SlowUpstream, *options: str
) -> Generator[Callboard]:
    """A front-end with one model, announced in etcd, that streams at the upstream's pace."""
    value = {"name": MODEL, "model_type": "chat", "endpoint": {"url": upstream.url}}
    etcd.put(f"{root}/models/chat/{MODEL}", json.dumps(value))
    options = ("--host", "127.0.0.1", "--port", "0", "--etcd-root", root, *options)
    with Callboard("--etcd", etcd.endpoint, *options) as callboard:
        wait_for_model(callboard.url, MODEL)
        yield callboard


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_a_stream_lets_it_end_and_exits_with_0(
    etcd: EtcdServer, number: signal.Signals
) -> None:
    with (
        SlowUpstream(tokens=30, interval=0.1) as upstream,
        serving_slowly(etcd, f"/drain-{number}", upstream) as callboard,
    ):
        client = _Client(callboard.url)
        client.start()
        assert upstream.started.wait(20)
        callboard.signal(number)
        refused = _refused_soon(callboard.url)
        client.join(30)
        assert client.broken_off is None
        assert client.lines[-1] == "data: [DONE]"
        assert sum("tick" in line for line in client.lines) == 30
        assert refused
        assert callboard.exit_code() == 0


def test_a_second_signal_exits_with_1_at_once(etcd: EtcdServer) -> None:
    with (
        SlowUpstream(tokens=1000, interval=0.1) as upstream,
        serving_slowly(etcd, "/twice", upstream) as callboard,
    ):
        _Client(callboard.url).start()
        assert upstream.started.wait(20)
        callboard.signal(signal.SIGTERM)
        assert _refused_soon(callboard.url)
        eventually(lambda: _gone_when_signalled(callboard), 5, "a later signal ends it at once")
        assert callboard.exit_code(timeout=5) == 1


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_at_once_are_one_wish(etcd: EtcdServer, second: signal.Signals) -> None:
    """As timeout(1) sends them: to the process, then to its group."""
    with (
        SlowUpstream(tokens=10, interval=0.1) as upstream,
        serving_slowly(etcd, f"/together-{second}", upstream) as callboard,
    ):
        client = _Client(callboard.url)
        client.start()
        assert upstream.started.wait(20)
        callboard.signal(signal.SIGTERM)
        callboard.signal(second)
        client.join(30)
        assert client.broken_off is None
        assert callboard.exit_code() == 0


def _gone_when_signalled(callboard: Callboard) -> bool:
    callboard.signal(signal.SIGTERM)
    return callboard.process.poll() is not None


def test_what_outlasts_the_drain_is_cut_with_an_error_event_and_exits_with_0(
    etcd: EtcdServer,
) -> None:
    with (
        SlowUpstream(tokens=1000, interval=0.1) as upstream,
        serving_slowly(etcd, "/cut", upstream, "--drain-timeout", "0.5") as callboard,
    ):
        client = _Client(callboard.url)
        client.start()
        assert upstream.started.wait(20)
        callboard.signal(signal.SIGTERM)
        assert callboard.exit_code(timeout=20) == 0
        client.join(10)
        assert client.broken_off is None
        assert "tick" in client.lines[0]
        assert len(client.lines) < 1000
        assert '"code":"shutting_down"' in client.lines[-2]
        assert client.lines[-1] == "data: [DONE]"


def test_an_idle_service_stops_at_once(etcd: EtcdServer) -> None:
    with Callboard("--host", "127.0.0.1", "--port", "0", "--etcd", etcd.endpoint) as callboard:
        assert get_models(callboard.url) == []
        callboard.signal(signal.SIGTERM)
        assert callboard.exit_code(timeout=5) == 0


def test_a_signal_while_etcd_is_away_stops_it_too() -> None:
    with Callboard("--host", "127.0.0.1", "--port", "0", "--etcd", "127.0.0.1:1") as callboard:
        _ = callboard.url
        callboard.signal(signal.SIGTERM)
        assert callboard.exit_code(timeout=5) == 0


class _Client(threading.Thread):
    """Streams one chat; keeps its lines, and how it was broken off if it was."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self.lines: list[str] = []
        self.broken_off: Exception | None = None

    def run(self) -> None:
        try:
            self.lines = stream_lines(self._url, MODEL)
        except (OSError, HTTPException) as error:
            self.broken_off = error


def _refused_soon(url: str) -> bool:
    """Whether, within a second or so, a new request is refused or told 503."""
    address = urlsplit(url)
    for _ in range(1000):
        connection = HTTPConnection(address.hostname or "", address.port, timeout=5)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 503:
                return True
        except OSError:
            return True
        finally:
            connection.close()
    return False
