"""The harness measures itself: real load, real mock upstream, real floor where gcc is."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.peers import gateways
from tests.bench.peers.cache import Cache, CannotPrepare
from tests.bench.peers.clients import Clients, Request
from tests.bench.peers.gateways import PROXIES, PYTHON_FLOOR, Gateway, Start
from tests.bench.peers.load import Load, drive
from tests.bench.peers.process import Mock, Process
from tests.bench.peers.rivals import RIVALS
from tests.bench.peers.rounds import Run, run
from tests.bench.peers.script import Script, post
from tests.support.cpu import Cores, cpu_seconds, on_core, rss_mib
from tests.support.etcd import EtcdServer
from tests.support.waiting import eventually

DEADLINE = 20.0


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with Mock(max(os.sched_getaffinity(0)), DEADLINE * 6) as upstream:
        yield upstream


def request(script: Script, *, stream: bool) -> Request:
    return Request(post(script, stream=stream), script.tokens, stream, script.pace > 0)


@pytest.mark.parametrize(
    ("script", "stream"),
    [(Script(16), False), (Script(64), True), (Script(8, pace=5), True)],
    ids=["unary", "burst", "paced"],
)
def test_the_mock_upstream_answers_as_it_is_told(mock: Mock, script: Script, stream: bool) -> None:
    load = Load(request(script, stream=stream), connections=4, requests=20, timeout=DEADLINE)
    seen = drive(("127.0.0.1", mock.port), load)
    assert (seen.done, seen.failures) == (20, 0)
    assert seen.marks == 20 * script.tokens
    assert len(seen.added) == (seen.marks if script.pace else 0)
    assert all(0 <= each < DEADLINE for each in seen.added)


def test_too_few_tokens_are_never_counted_as_success(mock: Mock) -> None:
    wrong = Request(post(Script(16), stream=True), marks=17, stream=True)
    seen = drive(("127.0.0.1", mock.port), Load(wrong, 2, 6, DEADLINE))
    assert seen.done == 0
    assert seen.failed == {"16 of 17 tokens": 6}


def test_what_is_not_answered_in_time_is_a_failure(mock: Mock) -> None:
    silent = Request(post(Script(1, silent=True)), marks=1)
    begun = time.monotonic()
    seen = drive(("127.0.0.1", mock.port), Load(silent, 3, 9, timeout=0.3))
    assert seen.failed == {"not answered in time": 3}
    assert time.monotonic() - begun < DEADLINE


def test_nobody_there_is_a_failure_of_every_request() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    seen = drive(address, Load(Request(b"x"), 2, 50, DEADLINE))
    assert seen.failed == {"could not ask: ConnectionRefusedError": 50}


def test_a_server_that_hangs_up_is_a_failure_and_the_load_goes_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)

        def hang_up() -> None:
            for _ in range(4):
                connection, _ = server.accept()
                connection.recv(1000)
                connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        seen = drive(server.getsockname(), Load(Request(b"x"), 2, 4, DEADLINE))
        thread.join(DEADLINE)
    assert sum(seen.failed.values()) == 4
    assert seen.done == 0


def test_the_mock_remembers_when_a_tagged_answer_was_left(mock: Mock) -> None:
    clients = Clients(("127.0.0.1", mock.port))
    connection = clients.ask(request(Script(100, pace=50, tag=77), stream=True))
    eventually(lambda: 77 in mock.tags()[0], DEADLINE)
    before = time.monotonic()
    clients.close(connection, reset=True)
    clients.close_all()
    eventually(lambda: 77 in mock.tags()[1], DEADLINE)
    assert before <= mock.tags()[1][77] <= time.monotonic()


def test_the_mock_hangs_up_on_what_is_not_http_1(mock: Mock) -> None:
    with socket.create_connection(("127.0.0.1", mock.port), DEADLINE) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert connection.recv(100) == b""


def test_cpu_time_and_memory_of_this_process_are_seen() -> None:
    before, own = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() < own + 0.05:
        sum(range(1000))
    assert 0.05 <= cpu_seconds(os.getpid()) - before < 5
    assert rss_mib(os.getpid()) > 5


def test_what_is_started_in_the_block_stays_on_the_core() -> None:
    core = Cores.of_this_machine().subject
    before = os.sched_getaffinity(0)
    with on_core(core), Process("sleeper", ("sleep", "60"), core, {}) as process:
        assert os.sched_getaffinity(process.pid) == {core}
    assert os.sched_getaffinity(0) == before
    assert process.popen.returncode is not None


def test_a_process_that_ends_early_tells_its_last_words() -> None:
    words = ("sh", "-c", "echo out of order; exit 3")
    with Process("lift", words, 0, {}) as process, pytest.raises(RuntimeError) as caught:
        process.wait_until(lambda: False, DEADLINE)
    assert "lift ended with 3" in str(caught.value)
    assert "out of order" in str(caught.value)


def small_run(mock: Mock, *chosen: Gateway) -> Run:
    cores = Cores.of_this_machine()
    return run(chosen, mock, cores, rounds=2, scale=0.0, seed=1, report=str)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="the floor in C needs gcc")
def test_a_small_run_over_both_floors_gives_every_figure(mock: Mock, tmp_path: Path) -> None:
    both = (gateways.floor(Cache(tmp_path), mock.port), gateways.python_floor(mock.port))
    measured = small_run(mock, *both)
    assert not measured.absent
    assert {(each.gateway, each.case, each.round) for each in measured.figures} == {
        (gateway.name, case, number)
        for gateway in both
        for case in ("UNARY", "BURST64", "PACED64")
        for number in (0, 1)
    }
    assert all(each.done and not each.failed and each.cpu > 0 for each in measured.figures)
    assert all(len(measured.memory[gateway.name]) == 2 for gateway in both)


@pytest.mark.parametrize("name", sorted(PROXIES))
def test_a_proxy_of_the_system_relays_as_configured(mock: Mock, tmp_path: Path, name: str) -> None:
    try:
        gateway = gateways.proxy(name, mock.url, tmp_path)
    except CannotPrepare as error:
        pytest.skip(str(error))
    measured = small_run(mock, gateway)
    assert not measured.absent
    assert all(each.done and not each.failed for each in measured.figures)


def test_clients_that_are_kept_are_used_again(mock: Mock) -> None:
    clients = Clients(("127.0.0.1", mock.port))
    load = Load(request(Script(2), stream=False), connections=3, requests=9, timeout=DEADLINE)
    drive(clients.address, load, clients)
    before = set(map(id, clients.idle()))
    assert drive(clients.address, load, clients).done == 9
    assert set(map(id, clients.idle())) == before
    assert len(before) == 3
    clients.close_all()


def test_a_gateway_that_dies_is_named_and_the_others_are_measured(mock: Mock) -> None:
    dead = Gateway("dead", "1", "C", lambda: Start(9, ("false",)))
    measured = small_run(mock, dead, gateways.python_floor(mock.port))
    assert {each.gateway for each in measured.figures} == {PYTHON_FLOOR}
    assert measured.absent == {"dead": "did not start"}


def test_another_checkout_without_an_environment_says_what_to_run(tmp_path: Path) -> None:
    with EtcdServer() as etcd, pytest.raises(CannotPrepare, match=r"make \.venv/\.ready"):
        gateways.checkout(tmp_path, etcd)


def test_what_can_not_be_installed_says_so(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    programs = tmp_path / "uv" / "bin"
    programs.mkdir(parents=True)
    (programs / "uv").symlink_to("/bin/false")
    with pytest.raises(CannotPrepare, match="the environment of smg"):
        cache.install(RIVALS[0])
    assert not (cache.place(RIVALS[0]) / ".ready").exists()
