"""The command line as a user meets it: exit codes, one clear sentence, help that teaches."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.callboard import Callboard, run_to_end


def test_help_lists_the_commands_and_shows_how_to_begin() -> None:
    done = run_to_end("--help")
    assert done.returncode == 0
    for word in ("serve", "worker", "demo", "--etcd http://"):
        assert word in done.stdout


def test_it_tells_its_version() -> None:
    done = run_to_end("--version")
    assert (done.returncode, done.stdout) == (0, f"callboard {version('callboard')}\n")


def test_a_misspelt_variable_is_told_on_stderr_and_hinders_nothing() -> None:
    at = {"CALLBOARD_HOST": "127.0.0.1", "CALLBOARD_PORT": "0", "CALLBOARD_ENGINES": "echo"}
    with Callboard("serve", environment=at) as callboard:
        assert callboard.url
        assert "did you mean 'CALLBOARD_ENGINE'?" in callboard.wait_for("CALLBOARD_ENGINES")


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["worker", "--url", "http://h/v1"]])
@pytest.mark.parametrize("option", ["--etcd-ca", "--etcd-cert"])
def test_a_file_that_is_no_certificate_is_named_before_anything_starts(
    command: list[str], option: str, tmp_path: Path
) -> None:
    """gRPC would write lines of its own about it, and never connect."""
    file = tmp_path / "wrong.pem"
    file.write_text("no certificate")
    pair = ["--etcd-key", str(file)] if option == "--etcd-cert" else []
    model = ["--model", "m"] if command[0] == "worker" else []
    done = run_to_end(*command, *model, "--etcd", "https://h:1", option, str(file), *pair)
    assert done.returncode == 2
    assert f"{file} " in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["serve", "worker", "demo"])
def test_every_command_explains_its_options(command: str) -> None:
    done = run_to_end(command, "--help")
    assert done.returncode == 0
    assert "CALLBOARD_" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prot", "1"], "did you mean '--port'?"),
        (["sevre"], "did you mean 'serve'?"),
        (["serve", "--port", "http"], "--port: 'http' is not a port"),
        (["--engine", "ecko"], "did you mean 'echo'?"),
        (["worker"], "--url (a server that runs) or --llama"),
        (["worker", "--model", "m"], "one of them"),
        (["worker", "--url", "http://h/v1"], "give --model NAME"),
        (["worker", "--model", "m", "--url", "http://h/v1", "--llama", "smollm2"], "not both"),
        (["worker", "--model", "m", "--url", "h:1"], "http://HOST:PORT/v1"),
    ],
)
def test_wrong_usage_exits_with_2_and_one_helpful_line(arguments: list[str], said: str) -> None:
    done = run_to_end(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_variable_exits_with_2_and_is_named() -> None:
    done = run_to_end("serve", environment={"CALLBOARD_DRAIN_TIMEOUT": "soon"})
    assert done.returncode == 2
    assert done.stderr.startswith("callboard: CALLBOARD_DRAIN_TIMEOUT: 'soon'")


def test_a_port_in_use_exits_with_1_and_one_sentence_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_to_end("--host", "127.0.0.1", "--port", str(port))
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("callboard: ")]
    assert len(lines) == 1
    assert str(port) in lines[0]
    assert "in use" in lines[0]
    assert "Traceback" not in done.stderr


def test_without_etcd_and_engine_it_serves_echo_and_says_how_to_add_a_real_model() -> None:
    with Callboard("--host", "127.0.0.1", "--port", "0") as callboard:
        assert callboard.url.startswith("http://127.0.0.1:")
        callboard.wait_for("worker --model")
        assert callboard.output.count("out ") == 1


def test_a_missing_model_file_exits_with_1_and_names_it() -> None:
    done = run_to_end("worker", "--model", "m", "--llama", "no/such/model.gguf")
    assert done.returncode == 1
    assert "no/such/model.gguf" in done.stderr
    assert "Traceback" not in done.stderr


def test_json_logs_are_one_object_a_line_whatever_there_is_to_tell() -> None:
    """A misspelt variable, and nothing but the echo model."""
    at = ("--host", "127.0.0.1", "--port", "0", "--log-format", "json")
    with Callboard(*at, environment={"CALLBOARD_PRT": "1"}) as callboard:
        _ = callboard.url
        callboard.process.terminate()
        assert callboard.exit_code() == 0
    logged = [line[4:] for line in callboard.output.splitlines() if line.startswith("err ")]
    assert logged
    for line in logged:
        assert {"message", "level", "logger", "timestamp"} <= json.loads(line).keys()


BROKEN_LATER = """
import contextlib
from actors.main import run
assert run(["no-such-command"]) == 2
import grpc
wrong = grpc.ssl_channel_credentials(b"no certificate")
with grpc.secure_channel("127.0.0.1:1", wrong) as channel:
    with contextlib.suppress(grpc.RpcError):
        channel.unary_unary("/a/b")(b"", timeout=10)
"""


def test_grpc_writes_no_lines_of_its_own_beside_ours() -> None:
    """It would for a certificate that is replaced by a wrong one while we run: four a second."""
    environment = {name: each for name, each in os.environ.items() if name != "GRPC_VERBOSITY"}
    done = subprocess.run(
        [sys.executable, "-c", BROKEN_LATER],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=environment,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("callboard: unknown command")
