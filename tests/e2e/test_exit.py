"""A told process ends in time with the right code, whatever nobody reads and whatever is stuck."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.callboard import Callboard
from tests.support.chat import get_models
from tests.support.waiting import eventually, free_port

IN_TIME = 15.0
"""Seconds within which an idle service must end: far below the 35 s of its last deadline, ample
beside the three that it takes."""

SERVE = ("serve", "--host", "127.0.0.1", "--console", "off")


def full_pipe() -> tuple[int, int]:
    """A pipe that takes no byte more, and that nobody reads."""
    reads, writes = os.pipe()
    fill(writes)
    return reads, writes


def fill(descriptor: int) -> None:
    os.set_blocking(descriptor, False)
    try:
        while True:
            os.write(descriptor, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(descriptor, True)


@contextmanager
def serving(
    stdout: int = subprocess.DEVNULL, stderr: int = subprocess.DEVNULL
) -> Generator[subprocess.Popen[bytes]]:
    """The service with these standard streams, once it answers."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "actors.main", *SERVE, "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
    )
    try:
        eventually(lambda: answers(port), 60, "it serves")
        yield process
    finally:
        process.kill()
        process.wait(10)


def answers(port: int) -> bool:
    try:
        return get_models(f"http://127.0.0.1:{port}") == ["echo"]
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("names", [("stderr",), ("stdout",), ("stdout", "stderr")], ids="+".join)
def test_it_ends_with_0_while_nobody_reads_what_it_writes(
    names: tuple[str, ...], number: signal.Signals
) -> None:
    reads, writes = full_pipe()
    try:
        with serving(**dict.fromkeys(names, writes)) as process:
            process.send_signal(number)
            assert process.wait(IN_TIME) == 0
    finally:
        os.close(reads)
        os.close(writes)


def test_it_ends_with_0_while_its_log_is_a_fifo_that_nobody_reads(tmp_path: Path) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reads = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writes = os.open(fifo, os.O_WRONLY)
    fill(writes)
    try:
        with serving(stderr=writes) as process:
            process.send_signal(signal.SIGTERM)
            assert process.wait(IN_TIME) == 0
    finally:
        os.close(reads)
        os.close(writes)


STUCK = """
import atexit, logging, sys, threading
from actors import main
from actors.cli import runner

class Tree:
    def __init__(self, token):
        {starting}
    def announce(self):
        print("ready", flush=True)
    def reload(self):
        pass
    def stop(self):
        {stopping}

class Row:
    @staticmethod
    def load():
        return lambda arguments, environment: runner.run_until_cancelled(Tree, 2.0)

main.COMMANDS = dict(serve=Row)
sys.argv = ["callboard", "serve"]
{before}
main.main()
"""
FOREVER = "threading.Event().wait()"


@pytest.mark.parametrize(
    ("stuck", "code"),
    [
        ({"before": f"atexit.register(lambda: {FOREVER})"}, 0),
        ({"before": f"threading.Thread(target=lambda: {FOREVER}).start()"}, 0),
        ({"before": "logging.getLogger().addHandler(logging.StreamHandler())\n"
                    "threading.Thread(target=logging.getLogger().handlers[0].acquire,"
                    " daemon=True).start()"}, 0),
        ({"stopping": FOREVER}, 1),
    ],
    ids=["exit handler", "thread of a library", "log handler", "stop"],
)  # fmt: skip
def test_it_ends_in_time_with_the_right_code_whatever_is_stuck(
    stuck: dict[str, str], code: int
) -> None:
    parts = {"starting": "pass", "stopping": "return None", "before": "", **stuck}
    process = subprocess.Popen(
        [sys.executable, "-c", STUCK.format(**parts)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(IN_TIME) == code


def test_a_start_that_is_stuck_ends_too() -> None:
    parts = {"starting": f'print("starting", flush=True); {FOREVER}', "stopping": "", "before": ""}
    program = STUCK.format(**{**parts, "stopping": "pass"})
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "starting\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(IN_TIME) == 1


@pytest.mark.parametrize(
    "number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT], ids=lambda n: n.name
)
def test_a_signal_that_is_no_wish_to_stop_ends_nothing(number: signal.Signals) -> None:
    with Callboard(*SERVE, "--port", "0") as callboard:
        url = callboard.url
        for _ in range(3):
            callboard.signal(number)
        assert get_models(url) == ["echo"]
        if number == signal.SIGQUIT:
            callboard.wait_for("of=MainThread")
        callboard.signal(signal.SIGTERM)
        assert callboard.exit_code() == 0


def test_a_signal_that_is_no_wish_to_stop_does_not_end_a_start() -> None:
    with Callboard(*SERVE, "--port", "0") as callboard:
        # Signals that come before Python runs our first line end any process.
        eventually(lambda: ignores(callboard.process.pid, signal.SIGHUP), 60, "it has begun")
        callboard.signal(signal.SIGHUP)
        callboard.signal(signal.SIGUSR1)
        assert get_models(callboard.url) == ["echo"]


def ignores(pid: int, number: signal.Signals) -> bool:
    """Whether the process ignores or handles that signal."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    masks = [int(line.split()[1], 16) for line in status if line[:7] in ("SigIgn:", "SigCgt:")]
    return any(mask >> (number - 1) & 1 for mask in masks)


def test_sighup_reads_the_keys_again(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("first-key\n")
    with Callboard(*SERVE, "--port", "0", "--api-key-file", str(keys)) as callboard:
        _ = callboard.url
        callboard.signal(signal.SIGHUP)
        callboard.wait_for("read the key files again")


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_it_serves_with_its_standard_streams_closed(closed: tuple[int, ...]) -> None:
    port = free_port()
    redirections = " ".join(f"{each}>&-" for each in closed)
    command = [sys.executable, "-m", "actors.main", *SERVE, "--port", str(port)]
    process = subprocess.Popen(["sh", "-c", f'exec "$@" {redirections}', "sh", *command])
    try:
        eventually(lambda: answers(port), 60, "it serves")
        process.terminate()
        assert process.wait(IN_TIME) == 0
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
def test_a_full_stdout_is_told_on_stderr_and_hinders_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        log.open("wb") as errors,
        Path("/dev/full").open("wb") as full,
        serving(stdout=full.fileno(), stderr=errors.fileno()) as process,
    ):
        process.send_signal(signal.SIGTERM)
        assert process.wait(IN_TIME) == 0
    said = log.read_text()
    assert "stdout can't be written" in said
    assert "Traceback" not in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device /dev/full")
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_on_a_full_stdout_fails_with_one_sentence(option: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "actors.main", option],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "callboard: stdout can't be written: No space left on device\n"
