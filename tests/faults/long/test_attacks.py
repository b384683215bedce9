"""The pure parts of the attacks and of the rolling restarts: verdicts, tables, bytes, answers."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.long import attacks, command, rolling
from tests.faults.long.attack_ground import Ground
from tests.faults.long.attack_probe import answer, requests_of
from tests.faults.long.report import Report, Settings, Unavailable

ROW = attacks.Row(attacks.ATTACKS[0], "before", 43.4, 0.0123, 0, 1.5, 2, 0.26, 3.0)


@pytest.mark.parametrize(
    ("live", "failed", "held"),
    [(0.05, 0, True), (0.0501, 0, False), (0.001, 1, False), (float("nan"), 0, False)],
)
def test_live_keeps_its_promise_up_to_50_ms_and_without_a_failure(
    live: float, failed: int, held: bool
) -> None:
    assert replace(ROW, live=live, live_failed=failed).held is held


def test_the_table_of_attacks_has_a_line_for_each_row() -> None:
    never = replace(ROW, exit=float("inf"), ejections=float("nan"))
    head, rule, first, second = attacks.table([ROW, never]).splitlines()
    assert head.count("|") == rule.count("|") == first.count("|")
    assert first == "| nothing | before | 43 | 12 | 1,500 (2 failed) | 0.3 | 3 |"
    assert second.endswith("| more than 60 | nan |")


def test_each_attack_has_a_key_of_its_own() -> None:
    keys = [each.key for each in attacks.ATTACKS]
    assert len(keys) == len(set(keys))
    assert {*"abcdefghi"} < {*keys}


def test_an_attack_sends_what_it_says() -> None:
    head, _, body = attacks.chat("m", "X-A: b", content="x" * 10, stream="true").partition(
        b"\r\n\r\n"
    )
    assert json.loads(body) == {
        "model": "m",
        "messages": [{"role": "user", "content": "x" * 10}],
        "stream": True,
    }
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"X-A: b" in head


def test_the_probe_asks_with_the_key_or_without() -> None:
    assert b"Authorization" not in requests_of("h", "")["live"]
    assert b"Authorization: Bearer sk-1\r\n" in requests_of("h", "sk-1")["chat"]
    assert b'"model": "mock"' in requests_of("h", "", "mock")["chat"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, False)),
        (b"HTTP/1.1 503 no\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", (503, True)),
        (b"HTTP/1.1 204 none\r\n\r\n", (204, False)),
    ],
)
def test_an_answer_is_read_to_its_end(said: bytes, expected: tuple[int, bool]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(said)
        assert answer(ours) == expected


def test_half_an_answer_is_none() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        with pytest.raises(ConnectionResetError, match="not whole"):
            answer(ours)


def test_whatever_is_no_good_200_has_failed_in_a_rolling_restart() -> None:
    first, second = rolling.Tally(), rolling.Tally()
    for outcome in ("status 200", "status 503", "status 200"):
        first.note(outcome, 0.01)
    second.note("ConnectionResetError", 0.2)
    row = rolling.Row("nginx", "before", 20, [first, second], 60.0, [0.5, 2.25])
    assert row.requests == 4
    assert row.failed == Counter({"status 503": 1, "ConnectionResetError": 1})
    line = rolling.table([row]).splitlines()[-1]
    assert line.startswith("| nginx | before | 20 | 4 | 2 | 1 x status 503, 1 x Connection")
    assert line.endswith("| 200 | 2.2 |")


@pytest.mark.parametrize("name", rolling.PROXIES)
def test_a_proxys_configuration_takes_its_places(name: str) -> None:
    ending = rolling.PROXIES[name][0]
    text = (Path(rolling.__file__).parent / f"rolling.{ending}").read_text()
    written = text.format(folder="/f", port=1, first="127.0.0.1:2", second="127.0.0.1:3")
    assert "127.0.0.1:2" in written
    assert "127.0.0.1:1" in written
    assert "{first}" not in written


def test_a_machine_without_the_proxies_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(_name: str, path: str | None = None) -> None:
        del path

    monkeypatch.setattr(shutil, "which", nowhere)
    with pytest.raises(Unavailable, match="apt-get install nginx haproxy"):
        rolling.program("nginx")
    assert command.main(["rolling"]) == 2
    assert "rolling: not run: there is no nginx here" in capsys.readouterr().out


def test_the_attacks_are_chosen_by_key_and_written_to_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def measured(attack: attacks.Attack, root: Path, label: str) -> attacks.Row:
        assert root.is_absolute() or root == Path()
        return replace(ROW, attack=attack, label=label)

    monkeypatch.setattr(attacks, "measure", measured)
    report = Report(lambda _line: None)
    roots = (tmp_path / "old", tmp_path / "new")
    attacks.run(report, Settings(0, roots=roots, only="a,d", file=tmp_path / "table.md"))
    lines = (tmp_path / "table.md").read_text().splitlines()[2:]
    assert [line.split(" | ")[1] for line in lines] == ["old", "new", "old", "new"]
    assert report.kept == 2


def test_a_part_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(Unavailable, match="no part is named 'z': none, a, b"):
        attacks.run(Report(lambda _line: None), Settings(0, only="a,z"))
    with pytest.raises(Unavailable, match="no part is named 'caddy': nginx, haproxy"):
        rolling.run(Report(lambda _line: None), Settings(0, only="caddy"))


def test_a_ground_wants_its_key_only_where_it_is_keyed() -> None:
    assert Ground(Path()).headers == {}
    assert Ground(Path(), keyed=True).headers["Authorization"].startswith("Bearer ")
