"""The composed service in this process: each part is killed, and the tree as a whole."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from falcon import testing

from actors.cli.parsing import parse_settings
from actors.discovering import engine_of
from actors.engines import Kind
from actors.engines.upstream import Tls, UpstreamEngine
from actors.engines.upstream.reach import Reach
from actors.service import RESTART_INTENSITY, Service
from actors.settings.serve import ServeSettings
from actors.supervision import Address, CancellationToken, ChildEnded
from discovery.entry import Entry, EntryTimeouts
from http_service import BindFailed, HttpServiceConfig
from http_service.config import DURATION_BUCKETS
from tests.support.chat import chat, get_json, get_models, get_text
from tests.support.waiting import eventually

DEADLINE = 20.0  # seconds; far above any of these, so that a hang fails the test


@pytest.fixture
def token() -> CancellationToken:
    return CancellationToken()


@pytest.fixture
def service(token: CancellationToken) -> Iterator[Service]:
    settings = ServeSettings(console="off", host="127.0.0.1", port=0, drain_timeout=5.0)
    running = Service.start(settings, token)
    yield running
    token.cancel()
    running.stop()


def test_with_nothing_asked_for_it_serves_the_echo_model(service: Service) -> None:
    assert get_models(service.url) == ["echo"]
    assert chat(service.url, "echo", "hello")[1]["choices"][0]["message"]["content"] == "hello"


def test_engines_that_were_asked_for_stand_in_for_the_default(token: CancellationToken) -> None:
    settings = ServeSettings(console="off", host="127.0.0.1", port=0, engine=("echo=a", "echo=b"))
    service = Service.start(settings, token)
    try:
        assert get_models(service.url) == ["a", "b"]
    finally:
        service.stop()


def test_entries_in_quarantine_are_named_to_operators_only(
    token: CancellationToken, tmp_path: Path
) -> None:
    (tmp_path / "gpu-7.internal.json").write_text("{")
    settings = ServeSettings(console="off", host="127.0.0.1", port=0, discovery_dir=str(tmp_path))
    service = Service.start(settings, token)

    def discovery(**headers: str) -> dict[str, Any]:
        answer = testing.TestClient(service.http.app).simulate_get(
            "/health", host="localhost", headers=headers
        )
        assert "gpu-7.internal" not in answer.text or not headers
        found: dict[str, Any] = answer.json["components"]["discovery"]
        return found

    try:
        eventually(lambda: discovery()["quarantined_count"] == 1, DEADLINE, "it is quarantined")
        assert discovery()["quarantined"].keys() == {"file:gpu-7.internal.json"}
        told = discovery(via="1.1 proxy")
        assert told["quarantined_count"] == 1
        assert told.keys().isdisjoint(("quarantined", "unknown_fields"))
    finally:
        service.stop()


def test_an_operator_sees_memory_descriptors_and_version(service: Service) -> None:
    text = get_text(f"{service.url}/metrics")
    version = importlib.metadata.version("callboard")
    assert f'callboard_frontend_build_info{{python="{platform.python_version()}",' in text
    assert f'version="{version}"}} 1.0' in text
    seen = dict(line.split() for line in text.splitlines() if line.startswith("process_"))
    assert float(seen["process_resident_memory_bytes"]) > 10 * 1024 * 1024
    assert 0 < float(seen["process_open_fds"]) < float(seen["process_max_fds"])


def test_every_metric_is_on_the_page_of_metrics_and_says_what_it_is(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs/reference/metrics.md").read_text()
    settings = ServeSettings(console="off", host="127.0.0.1", port=0, discovery_dir=str(tmp_path))
    service = Service.start(settings, CancellationToken())
    try:
        lines = get_text(f"{service.url}/metrics").splitlines()
    finally:
        service.stop()
    kinds = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE "))
    texts = dict(line.split(maxsplit=3)[2:4] for line in lines if line.startswith("# HELP "))
    assert len(kinds) > 25
    for name, kind in kinds.items():
        assert f"`{name.removeprefix('callboard_frontend_')}`" in page
        assert (kind == "counter") == name.endswith("_total")
        assert texts[name].endswith(".")


def test_limits_and_timeouts_of_the_command_line_reach_the_server() -> None:
    given = ("--idle-timeout", "300", "--engine-timeout", "30.5", "--connection-limit", "7")
    settings = parse_settings(
        ServeSettings, "serve", "", ("--port", "0", "--console", "off", *given), {}
    )
    service = Service.start(settings, CancellationToken())
    service.stop()
    config = service.http.config
    assert (config.idle_timeout, config.engine_timeout, config.connection_limit) == (300, 30.5, 7)


def test_unless_told_otherwise_they_are_those_of_the_library() -> None:
    settings, config = ServeSettings(), HttpServiceConfig()
    told_apart = {"open_probes": ("yes", True), "duration_buckets": ((), DURATION_BUCKETS)}
    shared = [each for each in dataclasses.fields(config) if hasattr(settings, each.name)]
    assert len(shared) >= 16
    for field in shared:
        ours, theirs = told_apart.get(field.name, (field.default, field.default))
        assert (getattr(settings, field.name), field.default) == (ours, theirs), field.name


def test_the_tree_is_the_one_of_the_design(service: Service) -> None:
    assert [child.path for child in service.tree.children()] == ["registry", "serving"]
    assert [child.path for child in service.tree.children("serving")] == [
        "serving/eventloop",
        "serving/http",
    ]


def test_a_crashed_http_server_comes_back_on_the_same_port(service: Service) -> None:
    http = service.tree.address("serving/http")
    epoch = http.epoch
    service.tree.stop_child("serving/http")
    service.tree.restart_child("serving/http")
    assert http.epoch == epoch + 1
    assert chat(service.url, "echo")[0] == 200


def test_cancelling_the_token_turns_readiness_before_anything_is_stopped(
    service: Service, token: CancellationToken
) -> None:
    assert get_json(f"{service.url}/ready")[0] == 200
    token.cancel()
    assert get_json(f"{service.url}/ready")[0] == 503
    assert get_json(f"{service.url}/live")[0] == 200
    assert chat(service.url, "echo")[0] == 200  # on what is open, all goes on


def test_after_a_stop_nobody_listens(service: Service, token: CancellationToken) -> None:
    url = service.url
    token.cancel()
    assert service.stop() is None
    with pytest.raises(OSError, match="refused"):
        get_models(url)


def test_a_part_that_can_not_live_ends_the_service_with_the_reason(
    service: Service, token: CancellationToken
) -> None:
    registry = service.tree.address("registry")
    for epoch in range(1, RESTART_INTENSITY + 2):
        eventually(partial(_has_epoch, registry, epoch), DEADLINE, "the next incarnation")
        registry.tell("poison")
    assert token.wait(DEADLINE)
    reason = service.stop()
    assert reason is not None
    assert "gave up" in reason
    assert "restarts within 10 seconds" in reason


def _has_epoch(address: Address, epoch: int) -> bool:
    return address.epoch == epoch


def test_a_taken_port_is_named_and_nothing_is_left_running(token: CancellationToken) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BindFailed, match=f"port {port} on 127.0.0.1 is in use"):
            Service.start(ServeSettings(console="off", host="127.0.0.1", port=port), token)
    service = Service.start(ServeSettings(console="off", host="127.0.0.1", port=port), token)
    try:
        assert service.url == f"http://127.0.0.1:{port}"
    finally:
        service.stop()


def test_with_etcd_away_it_serves_and_says_that_it_is_not_ready(token: CancellationToken) -> None:
    nobody = "http://127.0.0.1:1"
    service = Service.start(
        ServeSettings(console="off", host="127.0.0.1", port=0, etcd=(nobody,)), token
    )
    try:
        paths = [child.path for child in service.tree.children()]
        assert paths == ["registry", "discovery", "serving"]
        status, body = get_json(f"{service.url}/ready")
        assert status == 503
        assert "etcd" in body["reason"]
        assert get_models(service.url) == []
        health = get_json(f"{service.url}/health")[1]
        assert health["components"]["discovery"]["synced_once"] is False
    finally:
        service.stop()


def test_the_stop_goes_bottom_to_top(token: CancellationToken) -> None:
    settings = ServeSettings(console="off", host="127.0.0.1", port=0, etcd=("http://127.0.0.1:1",))
    service = Service.start(settings, token)
    ended: list[str] = []
    service.tree.on_event(
        lambda event: ended.append(event.path) if isinstance(event, ChildEnded) else None
    )
    token.cancel()
    assert service.stop() is None
    assert ended == ["serving/http", "serving/eventloop", "serving", "discovery", "registry"]


def test_a_killed_discovery_comes_back_and_takes_no_model_with_it(
    token: CancellationToken,
) -> None:
    settings = ServeSettings(
        console="off", host="127.0.0.1", port=0, etcd=("http://127.0.0.1:1",), engine=("echo=echo",)
    )
    service = Service.start(settings, token)
    try:
        discovery = service.tree.address("discovery")
        epoch = discovery.epoch
        discovery.tell("poison")
        eventually(lambda: discovery.epoch == epoch + 1, DEADLINE, "discovery is back")
        assert chat(service.url, "echo")[0] == 200
    finally:
        service.stop()


@pytest.mark.parametrize("silence", [3.0, 130.0, 900.0])
def test_the_engine_timeout_is_the_only_bound_on_a_workers_silence(silence: float) -> None:
    entry = Entry(Kind.CHAT, "m", "http://127.0.0.1:9")
    engine = engine_of(Tls(), Reach(), silence, entry)
    assert isinstance(engine, UpstreamEngine)
    assert (engine.timeouts.first_byte, engine.timeouts.idle) == (silence, silence)


def test_an_entry_may_allow_a_worker_less_silence() -> None:
    timeouts = EntryTimeouts(first_byte=2.0, idle=1.0)
    entry = Entry(Kind.CHAT, "m", "http://127.0.0.1:9", timeouts=timeouts)
    engine = engine_of(Tls(), Reach(), 600.0, entry)
    assert isinstance(engine, UpstreamEngine)
    assert (engine.timeouts.first_byte, engine.timeouts.idle) == (2.0, 1.0)
