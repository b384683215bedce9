"""An operating-system process as a child: it is up when it is ready, and dies with its actor."""

from __future__ import annotations

import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from actors.supervision import Child, StartFailed, Supervisor, Tree
from actors.supervision.process_actor import ProcessActor
from actors.testing import FakeClock, Gate
from tests.supervision.subjects import Journal
from tests.support.waiting import eventually

STOP = 10.0  # seconds
SLEEP_FOR_EVER = "import signal\nwhile True: signal.pause()"
IGNORE_TERM = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"


def script(tmp_path: Path, body: str = SLEEP_FOR_EVER, before: str = "") -> list[str]:
    """A command that writes its pid to a file, then does ``body``."""
    code = f"import os, pathlib\n{before}pathlib.Path({str(tmp_path / 'pid')!r}).write_text("
    code += f"str(os.getpid()))\n{body}"
    return [sys.executable, "-c", code]


def pid_of(tmp_path: Path) -> int:
    text = (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""
    return int(text) if text else 0


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def started(tmp_path: Path, command: list[str], **options: object) -> Tree:
    start = partial(ProcessActor.start, command, ready=lambda: pid_of(tmp_path) > 0, **options)
    return Supervisor.start(Child("process", start, start_within=30.0), intensity=5)


def test_it_counts_as_started_when_it_says_that_it_is_ready(tmp_path: Path) -> None:
    tree = started(tmp_path, script(tmp_path))
    assert not gone(pid_of(tmp_path))
    tree.stop(timeout=STOP)


def test_stopping_the_actor_ends_the_process(tmp_path: Path) -> None:
    tree = started(tmp_path, script(tmp_path))
    pid = pid_of(tmp_path)
    tree.stop(timeout=STOP)
    assert gone(pid)


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path: Path) -> None:
    tree = started(tmp_path, script(tmp_path, before=IGNORE_TERM), grace=0.1)
    pid = pid_of(tmp_path)
    tree.stop(timeout=STOP)
    assert gone(pid)


def test_a_process_that_dies_is_started_again(tmp_path: Path) -> None:
    tree = started(tmp_path, script(tmp_path))
    address = tree.address("process")
    first = pid_of(tmp_path)
    (tmp_path / "pid").unlink()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: address.epoch == 2 and pid_of(tmp_path) > 0, STOP, "another process")
    assert pid_of(tmp_path) != first
    tree.stop(timeout=STOP)


def test_a_process_that_ends_while_it_starts_is_a_failed_start(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(StartFailed, match="process ended with 3 while starting"):
        started(tmp_path, command)


def test_a_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-such-program")
    start = partial(ProcessActor.start, [missing])
    with pytest.raises(StartFailed, match="there is no program"):
        Supervisor.start(Child("process", start))


def test_it_gets_the_environment_that_was_asked_for(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    body = f"pathlib.Path({str(seen)!r}).write_text(os.environ.get('FLAVOUR', ''))"
    command = script(tmp_path, before=body + "\n")
    environment = {**os.environ, "FLAVOUR": "plum"}
    tree = started(tmp_path, command, environment=environment)
    assert seen.read_text() == "plum"
    tree.stop(timeout=STOP)


def test_a_process_that_ends_before_its_actor_is_up_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = threading.Thread.start

    def start_and_wait(thread: threading.Thread) -> None:
        original(thread)
        if thread.name.endswith("-waiter"):
            thread.join(STOP)  # its word is out, and the address still points to nobody

    monkeypatch.setattr(threading.Thread, "start", start_and_wait)
    tree = Supervisor.start(
        Child("process", partial(ProcessActor.start, [sys.executable, "-c", ""])), intensity=0
    )
    over = threading.Event()
    tree.on_exit(lambda _exit: over.set())
    assert over.wait(STOP)


def test_a_process_whose_readiness_check_fails_is_not_left_behind(tmp_path: Path) -> None:
    def ready() -> bool:
        if pid_of(tmp_path):
            raise ConnectionError("no such port")
        return False

    start = partial(ProcessActor.start, script(tmp_path), ready=ready)
    with pytest.raises(StartFailed, match="no such port"):
        Supervisor.start(Child("process", start, start_within=30.0))
    assert gone(pid_of(tmp_path))


def test_a_process_that_is_ready_too_late_is_not_left_behind(tmp_path: Path) -> None:
    clock, gate, told = FakeClock(), Gate(), Journal()

    def ready() -> bool:
        eventually(lambda: pid_of(tmp_path) > 0)
        gate.hold()
        return True

    def grow() -> None:
        start = partial(ProcessActor.start, script(tmp_path), ready=ready)
        try:
            Supervisor.start(Child("process", start), clock=clock)
        except StartFailed as error:
            told.add(str(error))

    starter = threading.Thread(target=grow)
    starter.start()
    gate.reached()
    clock.wait_for_waiting(1)
    clock.advance(600)
    starter.join(STOP)
    assert "took longer than" in told.entries[0]
    eventually(lambda: gone(pid_of(tmp_path)))
    gate.open()


def test_a_brutal_shutdown_kills_the_process(tmp_path: Path) -> None:
    start = partial(ProcessActor.start, script(tmp_path), ready=lambda: pid_of(tmp_path) > 0)
    tree = Supervisor.start(Child("process", start, start_within=30.0, shutdown=0))
    pid = pid_of(tmp_path)
    tree.stop(timeout=STOP)
    assert gone(pid)
