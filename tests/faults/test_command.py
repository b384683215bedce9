"""The command line: what it lists, refuses, reports, and what an interrupt leaves behind."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.command import main, seconds_of
from tests.faults.long.command import SHOWS as LONG
from tests.faults.worlds.remote import NotAllowed, address_of, permitted
from tests.support.callboard import Callboard
from tests.support.waiting import eventually, free_port

INTERRUPTED = 130


def test_times_are_read_with_their_units() -> None:
    assert [seconds_of(text) for text in ("9", "30s", "1.5m", "1h")] == [9, 30, 90, 3600]
    for text in ("", "0", "-1s", "soon"):
        with pytest.raises(argparse.ArgumentTypeError):
            seconds_of(text)


def test_the_list_names_rows_families_and_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "11"]) == 0
    assert "  11 actors       cycle" in capsys.readouterr().out.replace(" 11 a", "  11 a")


def test_the_list_and_the_help_name_the_long_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(f" {name} " in listed for name in LONG)
    with pytest.raises(SystemExit):
        main(["--long", "--help"])
    assert all(name in capsys.readouterr().out for name in list(LONG)[:1])


def test_an_unknown_name_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "no-such-thing"]) == 2
    assert "--list" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "9,typo,slip"], "no scenario is named 'typo', 'slip'"),
        (["--list", "--only", "typo"], "no scenario is named 'typo'"),
        (["--only", "=hang,=han"], "no scenario is named '=han'"),
        (["--only", "flood", "--quick"], "no scenario is left"),
        (["--replay", "schedule.json", "--only", "9"], "leave --only"),
        (["--only", "11", "--report", "{file}/below"], "can't write to"),
        (["--only", "11", "--table", "{folder}/none/table.md"], "can't write to"),
    ],
    ids=str,
)
def test_what_would_be_ignored_or_lost_is_wrong_use_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    (tmp_path / "file").touch()
    assert main([a.format(file=tmp_path / "file", folder=tmp_path) for a in arguments]) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert "seed" not in shown.out


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "fast"])
def test_a_rate_is_above_nothing(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "11", "--rate", rate])
    assert ended.value.code == 2
    assert "--rate" in capsys.readouterr().err


def test_a_run_prints_its_seed_writes_a_report_and_can_be_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    assert (
        main(
            ["--only", "=raise-SystemExit", "--no-control", "--seed", "3", "--report", str(report)]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "seed 3" in printed
    assert "held      9 raise-SystemExit" in printed
    assert {each.name for each in report.iterdir()} == {
        "index.html",
        "report.json",
        "report.md",
        "schedule.json",
    }
    assert main(["--replay", str(report / "schedule.json"), "--no-control"]) == 0
    assert "seed 3" in capsys.readouterr().out


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_permission(host: str) -> None:
    permitted(host, flag=False, confirm=lambda _prompt: pytest.fail("asked"))


def test_another_host_needs_a_flag_and_its_name_typed() -> None:
    with pytest.raises(NotAllowed, match="--attack-another-host"):
        permitted("192.0.2.1", flag=False, confirm=lambda _prompt: "192.0.2.1")
    with pytest.raises(NotAllowed, match="not typed"):
        permitted("192.0.2.1", flag=True, confirm=lambda _prompt: "yes")
    permitted("192.0.2.1", flag=True, confirm=lambda _prompt: "192.0.2.1")


def test_a_url_must_be_an_http_url() -> None:
    assert address_of("http://127.0.0.1:8787/") == ("127.0.0.1", 8787)
    assert address_of("localhost:1") == ("localhost", 1)
    for url in ("https://x", "ftp://x", "http://"):
        with pytest.raises(NotAllowed):
            address_of(url)


def test_nothing_at_the_url_is_told_and_no_fault_is_injected(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["--against", f"http://127.0.0.1:{free_port()}", "--only", "29"])
    assert code == 2
    assert "nothing answers /v1/models" in capsys.readouterr().err


def test_a_deployment_that_is_up_is_attacked_from_outside(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Callboard("serve", "--host", "127.0.0.1", "--port", "0") as callboard:
        code = main(["--against", callboard.url, "--only", "=bad-json", "--no-control"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert "held     29 bad-json" in printed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_heals_ends_every_child_and_says_what_was_done(
    number: signal.Signals,
) -> None:
    command = [
        sys.executable,
        "-u",
        "-m",
        "tests.faults",
        "--only",
        "=raise-SystemExit,=etcd-freeze",
    ]
    process = subprocess.Popen(
        [*command, "--no-control"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        seen = [process.stdout.readline() for _ in range(2)]
        assert "raise-SystemExit" in seen[1]
        children = eventually_some_children(process.pid)
        process.send_signal(number)
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == INTERRUPTED
    assert "interrupted" in printed
    assert "1 scenarios" in printed
    eventually(lambda: not any(alive(child) for child in children), 10.0, "no child is left")


def eventually_some_children(pid: int) -> list[int]:
    """The processes that it started, once there are two: etcd and the host."""
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    eventually(lambda: len(listing.read_text().split()) >= 2, 30.0, "it has started its children")
    return [int(each) for each in listing.read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
