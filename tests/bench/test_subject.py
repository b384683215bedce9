"""The process under measurement, for real and in short: both of its ports, and every script."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.bench import disconnects, held_streams, slow_clients
from tests.bench.cases import CASES
from tests.bench.measure import measure, run
from tests.bench.peers.clients import Request
from tests.bench.peers.load import Load, drive
from tests.bench.peers.script import Script, post
from tests.bench.relaying import relaying
from tests.bench.served import Served, Spent
from tests.bench.subject import MODEL
from tests.bench.threads import waited_seconds

DEADLINE = 30.0


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with relaying() as subject:
        yield subject


@pytest.mark.parametrize("script", [Script(16), Script(16, pace=5)], ids=["burst", "paced"])
@pytest.mark.parametrize("stock", [False, True], ids=["ours", "stock"])
def test_both_ports_serve_the_scripted_engine(served: Served, script: Script, stock: bool) -> None:
    payload = post(script, model=MODEL, stream=True)
    request = Request(payload, script.tokens, stream=True, stamped=script.pace > 0)
    seen = drive(served.stock if stock else served.ours, Load(request, 2, 6, DEADLINE))
    assert (seen.done, dict(seen.failed)) == (6, {})
    assert all(0 <= each < DEADLINE for each in seen.added)


def test_every_case_gives_figures_on_both_sides(served: Served) -> None:
    quick = [case for case in CASES if not case.held]
    for result in run(served, quick, rounds=1, scale=0.0, with_stock=True, report=str):
        for figures in (*result.ours, *result.stock):
            assert not figures.failed, result.case.name
            assert figures.cpu > 0
            assert figures.rate > 0


def test_the_cpu_time_of_the_roles_is_that_of_the_process(served: Served) -> None:
    spent = Spent(served)
    measure(served, CASES[1], 0.1, stock=False)
    whole, roles = spent.so_far()
    assert whole > 0
    # The kernel's two clocks are read one after the other, and some threads may have ended.
    assert sum(roles.values()) == pytest.approx(whole, rel=0.3)


def test_threads_that_share_a_core_wait_for_one_another(served: Served) -> None:
    before = waited_seconds(served.pid)
    measure(served, CASES[1], 0.1, stock=False)
    assert waited_seconds(served.pid) > before


def test_the_metrics_are_read_by_name_and_label(served: Served) -> None:
    drive(served.ours, Load(CASES[1].request, 1, 1, DEADLINE))
    assert any('model="echo"' in name for name in served.metrics())
    assert served.inflight() == 0


def test_starting_a_subject_leaves_this_process_where_it_was() -> None:
    before = os.sched_getaffinity(0)
    with Served() as subject:
        assert subject.memory_mib() > 10
        assert "bench-engine" in subject.thread_names().values()
    assert os.sched_getaffinity(0) == before


def test_held_streams_lose_nobody_when_some_are_killed(capsys: pytest.CaptureFixture[str]) -> None:
    code = held_streams.main(
        ["--streams", "10", "--rate", "20", "--seconds", "1.5", "--kill", "0.2"]
    )
    assert code == 0, capsys.readouterr().out
    assert "whole 8, killed 2, cut or short 0" in capsys.readouterr().out


def test_disconnects_are_all_heard_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert disconnects.main(["--clients", "2"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == len(disconnects.CASES)
    assert all(row.endswith("-") for row in rows)


def test_slow_clients_leave_the_normal_one_its_answers(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        slow_clients.main(
            ["--attackers", "9", "--rounds", "1", "--requests", "20", "--settle", "0"]
        )
        == 0
    )
    assert capsys.readouterr().out.count("failed 0") == 2
