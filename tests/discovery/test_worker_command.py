"""The worker as its user runs it: announces, drains, leaves; with TLS and passwords too."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from actors.cli.model_server import busy_slots
from actors.engines.contract import Kind
from discovery.codec import decode, key_for
from discovery.entry import Entry
from tests.support.callboard import Callboard
from tests.support.certificates import make_tls_files
from tests.support.chat import (
    chat,
    get_json,
    get_models,
    stream_lines,
    wait_for_model,
    wait_without_model,
)
from tests.support.etcd import EtcdServer, unique_root
from tests.support.slow_upstream import SlowUpstream
from tests.support.waiting import eventually

URL = "http://127.0.0.1:9/v1"


def worker(etcd: EtcdServer, *options: str, **environment: str) -> Callboard:
    at_once = ("--announce", "at-once")  # nothing listens at URL
    given = ("worker", "--etcd", etcd.endpoint, "--instance", "w1", *at_once, *options)
    return Callboard(*given, environment=environment)


def entry(etcd: EtcdServer, root: str, model: str) -> Entry | None:
    key = key_for(Kind.CHAT, model, "w1", root)
    found = decode(key, etcd.get(key) or b"", root)
    return found if isinstance(found, Entry) else None


def state(etcd: EtcdServer, root: str, model: str) -> str | None:
    found = entry(etcd, root, model)
    return found.state if found else None


@pytest.fixture
def root() -> str:
    return unique_root()


def test_several_models_come_drain_and_go_together(etcd_server: EtcdServer, root: str) -> None:
    options = ("--model", "a,org/b", "--alias", "fast=a", "--url", URL, "--etcd-root", root)
    with worker(etcd_server, *options, "--drain", "2") as process:
        assert "announced a, org/b (chat and completions)" in process.wait_for("announced")
        found = entry(etcd_server, root, "a")
        assert found is not None
        assert found.aliases == ("fast",)
        process.signal(signal.SIGTERM)
        eventually(lambda: state(etcd_server, root, "a") == "draining")
        eventually(lambda: state(etcd_server, root, "org/b") == "draining")
        assert process.exit_code() == 0
        assert entry(etcd_server, root, "a") is None
        assert entry(etcd_server, root, "org/b") is None


def test_a_worker_that_drains_gets_no_new_request_and_finishes_what_it_has(
    etcd_server: EtcdServer, root: str
) -> None:
    """With one worker, the model is known and unavailable until the worker is gone."""
    at = ("--host", "127.0.0.1", "--port", "0", "--etcd", etcd_server.endpoint)
    with SlowUpstream() as upstream, Callboard(*at, "--etcd-root", root) as front:
        options = ("--model", "m", "--url", upstream.url, "--etcd-root", root, "--drain", "5")
        with worker(etcd_server, *options) as process:
            wait_for_model(front.url, "m")
            assert chat(front.url, "m")[0] == 200
            process.signal(signal.SIGTERM)
            eventually(lambda: chat(front.url, "m")[0] == 503, what="no new request is sent")
            assert get_models(front.url) == ["m"]
            assert state(etcd_server, root, "m") == "draining"
            assert process.process.poll() is None, "it is still there for what it had"
            wait_without_model(front.url, "m")
            assert chat(front.url, "m")[0] == 404


def test_a_worker_and_its_server_are_replaced_without_a_failed_request(
    etcd_server: EtcdServer, root: str
) -> None:
    at = ("--host", "127.0.0.1", "--port", "0", "--etcd", etcd_server.endpoint)
    done, statuses = threading.Event(), list[int]()

    def instances() -> int:
        health = get_json(f"{front.url}/health")[1]
        return int(health["components"]["discovery"]["entries"])

    def ask() -> None:
        while not done.is_set():
            statuses.append(chat(front.url, "m")[0])

    def options(upstream: SlowUpstream, instance: str) -> tuple[str, ...]:
        given = ("--model", "m", "--type", "chat", "--url", upstream.url)
        return (*given, "--etcd-root", root, "--instance", instance)

    with (
        SlowUpstream() as new_server,
        Callboard(*at, "--etcd-root", root) as front,
        ExitStack() as old,
    ):
        old_server = old.enter_context(SlowUpstream())
        first = old.enter_context(worker(etcd_server, *options(old_server, "one")))
        wait_for_model(front.url, "m")
        clients = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for client in clients:
            client.start()
        with worker(etcd_server, *options(new_server, "two")):
            eventually(lambda: instances() == 2, 30, "both are there")
            first.signal(signal.SIGTERM)
            assert first.exit_code() == 0
            old.close()  # the server goes right after its worker
            before = len(statuses)
            eventually(lambda: len(statuses) > before + 20, 30, "requests go on")
            done.set()
            for client in clients:
                client.join(30)
    assert {*statuses} == {200}


@pytest.mark.model
@pytest.mark.timeout(240)
def test_a_hosted_model_finishes_what_it_computes_before_its_worker_goes(
    etcd_server: EtcdServer, root: str
) -> None:
    at = ("--host", "127.0.0.1", "--port", "0", "--etcd", etcd_server.endpoint)
    options = ("--llama", "smollm2", "--model", "s", "--etcd-root", root, "--drain", "0.1")
    with Callboard(*at, "--etcd-root", root) as front, worker(etcd_server, *options) as process:
        process.wait_for("announced", 120.0)
        wait_for_model(front.url, "s")
        lines: list[str] = []

        def stream() -> None:
            text = "Tell me a very long story about a lighthouse."
            lines.extend(stream_lines(front.url, "s", text, max_tokens=250, temperature=0))

        client = threading.Thread(target=stream, daemon=True)
        client.start()
        address = process.wait_for("announced").rpartition(" at ")[2].strip()
        eventually(lambda: busy_slots(address), 30, "the model computes")
        process.signal(signal.SIGTERM)
        eventually(lambda: state(etcd_server, root, "s") == "draining")
        assert client.is_alive(), "the answer is still under way"
        client.join(90)
        assert lines[-1] == "data: [DONE]"
        assert len(lines) > 100
        assert not any('"error"' in line for line in lines)
        assert process.exit_code() == 0


def test_a_worker_without_etcd_stops_at_once(server: EtcdServer) -> None:
    server.kill()
    with worker(server, "--model", "m", "--url", URL, "--drain", "60") as process:
        process.wait_for("in doubt")
        process.signal(signal.SIGTERM)
        assert process.exit_code() == 0


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[EtcdServer, tuple[str, ...]]]:
    """An etcd that wants a certificate and a password, and the options for the first."""
    files = make_tls_files(tmp_path)
    with EtcdServer(tls=files) as server:
        server.enable_auth("open sesame")
        options = {"--etcd-ca": files.ca, "--etcd-cert": files.cert, "--etcd-key": files.key}
        yield server, tuple(str(word) for option in options.items() for word in option)


def test_a_worker_is_let_in_by_certificate_and_password(
    guarded: tuple[EtcdServer, tuple[str, ...]], tmp_path: Path
) -> None:
    server, tls = guarded
    options = ("--model", "m", "--url", URL, "--etcd-user", "root", "--drain", "0", *tls)
    with worker(server, *options, CALLBOARD_ETCD_PASSWORD="open sesame") as process:
        process.wait_for("announced")
        assert state(server, "", "m") == "serving"
        process.signal(signal.SIGTERM)
        assert process.exit_code() == 0
    secret = tmp_path / "password"
    secret.write_text("wrong\n")
    with worker(server, *options, "--etcd-password-file", str(secret)) as process:
        line = process.wait_for("in doubt")
        assert "refuses the user or the password" in line
        assert "wrong" not in process.output
