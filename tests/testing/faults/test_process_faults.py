"""Faults of real processes: each takes effect, is put back, or says why it can't be."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.testing.faults import (
    FaultUnavailable,
    FileLimit,
    Freeze,
    Kill,
    MemoryLimit,
    Terminate,
    process,
)
from tests.support.waiting import eventually

WAIT = 20.0
LOOP = """
import sys
for line in sys.stdin:
    try:
        print(eval(line), flush=True)
    except BaseException as error:
        print(type(error).__name__, flush=True)
"""


class Victim:
    """A Python process that evaluates what it is sent."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def pid(self) -> int:
        return self.process.pid

    def evaluate(self, text: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def victim() -> Iterator[Victim]:
    victim = Victim()
    assert victim.evaluate("1 + 1") == "2"
    yield victim
    victim.close()


def states(pid: int) -> set[str]:
    """What its threads do, each as the kernel's envelope."""
    threads = Path(f"/proc/{pid}/task").glob("*/stat")
    return {each.read_text().rpartition(")")[2].split()[0] for each in threads}


def test_a_kill_ends_the_process_and_healing_restarts_it(victim: Victim) -> None:
    restarted: list[int] = []
    with Kill(victim.pid, lambda: restarted.append(1)):
        assert victim.process.wait(WAIT) == -signal.SIGKILL
    assert restarted == [1]


def test_a_termination_is_sigterm(victim: Victim) -> None:
    with Terminate(victim.pid):
        assert victim.process.wait(WAIT) == -signal.SIGTERM


def test_a_frozen_process_goes_on_when_healed(victim: Victim) -> None:
    with Freeze(victim.pid):
        assert states(victim.pid()) == {"T"}
    assert victim.evaluate("2 + 2") == "4"


def test_no_thread_of_a_busy_process_runs_once_it_is_frozen(victim: Victim) -> None:
    forever = "lambda: any(False for _ in iter(int, 1))"
    spin = f"__import__('threading').Thread(target={forever}, daemon=True).start()"
    for _ in range(3):
        victim.evaluate(spin)
    for _ in range(50):
        with Freeze(victim.pid):
            assert states(victim.pid()) == {"T"}


def test_a_process_that_does_not_stop_makes_the_fault_unavailable_and_goes_on(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOPPED", 0.01)
    monkeypatch.setattr(process, "_STILL", ())
    with pytest.raises(FaultUnavailable, match="did not stop within"):
        Freeze(victim.pid).inject()
    assert victim.evaluate("2 + 2") == "4"


def test_a_process_at_its_file_limit_opens_nothing_until_healed(victim: Victim) -> None:
    with FileLimit(victim.pid):
        assert victim.evaluate("open('/dev/null')") == "OSError"
    assert "TextIOWrapper" in victim.evaluate("open('/dev/null')")


def test_a_process_at_its_memory_limit_gets_no_more_until_healed(victim: Victim) -> None:
    before = resource.prlimit(victim.pid(), resource.RLIMIT_AS)
    with MemoryLimit(victim.pid, spare=16 * 1024 * 1024):
        assert victim.evaluate("len(bytes(200_000_000))") == "MemoryError"
    assert victim.evaluate("len(bytes(200_000_000))") == "200000000"
    assert resource.prlimit(victim.pid(), resource.RLIMIT_AS) == before


@pytest.mark.parametrize("fault", [Kill, Freeze, FileLimit, MemoryLimit])
def test_a_process_that_is_gone_makes_the_fault_unavailable(victim: Victim, fault: type) -> None:
    victim.close()
    gone = fault(victim.pid)
    with pytest.raises(FaultUnavailable):
        gone.inject()
    assert gone.happened == 0


@pytest.mark.parametrize("fault", [Kill, Terminate, Freeze, FileLimit, MemoryLimit])
def test_a_process_fault_counts_what_it_did_to_a_living_process(
    victim: Victim, fault: type
) -> None:
    on = fault(victim.pid)
    assert on.happened == 0
    with on:
        assert on.happened == 1


@pytest.mark.parametrize("fault", [Kill, Terminate, Freeze])
def test_a_process_that_ended_and_was_not_waited_for_survives_nothing(
    victim: Victim, fault: type
) -> None:
    victim.process.kill()
    eventually(lambda: states(victim.pid()) == {"Z"}, WAIT, "it has ended")
    on = fault(victim.pid)
    with pytest.raises(FaultUnavailable, match=f"process {victim.pid()} has ended"):
        on.inject()
    assert on.happened == 0


def test_limits_of_a_process_that_died_of_them_are_not_put_back(victim: Victim) -> None:
    fault = FileLimit(victim.pid)
    fault.inject()
    victim.close()
    fault.heal()
    assert not fault.active
