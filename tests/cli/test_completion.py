"""Completion: commands, options, values, and the service's own names; once in a real bash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from actors.cli.commands import COMMANDS
from actors.cli.completion import candidates, completed
from tests.cli.admin_server import AdminServer, instance, model
from tests.cli.terminal import Terminal
from tests.support.callboard import run_to_end

HERE = Path(sys.executable).parent


@pytest.fixture
def server() -> Iterator[AdminServer]:
    names = ["llama-3", "qwen:7b", "a$(reboot)b"]
    documents = {
        "models": {"models": [{"id": name} for name in names]},
        "models/llama-3": model("llama-3", instance("gpu-1"), instance("gpu-2")),
    }
    with AdminServer(documents) as found:
        yield found


def found(*words: str) -> list[str]:
    def ask(names: str, word: str, values: Mapping[str, Any]) -> list[str]:
        return [names, word, str(values["config"])]

    return [*candidates(words, {}, ask)]


def test_the_first_word_is_a_command() -> None:
    assert found("") == [*COMMANDS]
    assert found("dr") == ["drain"]
    assert found("nope", "") == []


def test_options_are_those_of_the_command() -> None:
    assert found("status", "--adm") == ["--admin-url", "--admin-key-file"]
    assert found("--drain-t") == ["--drain-timeout"]
    assert found("bench", "m", "-c") == ["-c"]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (("status", "--output", ""), ["table", "json", "yaml"]),
        (("serve", "--access-log", "re"), ["requests"]),
        (("worker", "--llama", ""), ["smollm2"]),
        (("completion", ""), ["bash", "zsh", "fish"]),
        (("serve", "--config", "/etc/"), []),
        (("tree", ""), []),
    ],
)
def test_a_choice_is_completed_and_files_are_left_to_the_shell(
    words: tuple[str, ...], values: list[str]
) -> None:
    assert found(*words) == values


def test_an_argument_is_asked_for_with_the_options_that_were_given() -> None:
    assert found("instances", "--config", "off", "") == ["model", "off"]
    assert found("drain", "inst") == ["instance", "inst"]


def test_names_come_from_the_service(server: AdminServer) -> None:
    def words(shell: str, *typed: str) -> list[str]:
        return [*completed(shell, typed, {"CALLBOARD_ADMIN_URL": server.url})]

    assert words("zsh", "instances", "") == ["llama-3", "qwen:7b"]
    assert words("zsh", "drain", "ll") == ["llama-3", "llama-3#"]
    assert words("zsh", "drain", "llama-3#") == ["llama-3#gpu-1", "llama-3#gpu-2"]
    # bash splits at the colon, and completes what is behind it.
    assert words("bash", "instances", "qwen", ":", "") == ["7b"]
    assert words("bash", "instances", "qwen", ":", "7") == ["7b"]


def test_where_nothing_answers_nothing_is_offered_and_nothing_is_said() -> None:
    done = run_to_end(
        "completion", "words", "bash", "drain", "", "--admin-url", "http://127.0.0.1:1"
    )
    assert (done.returncode, done.stderr) == (0, "")
    at = {"CALLBOARD_ADMIN_URL": "http://127.0.0.1:1"}
    done = run_to_end("completion", "words", "bash", "drain", "", environment=at)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_bash_completes_a_command_a_model_and_an_instance(server: AdminServer) -> None:
    environment = {
        "PATH": f"{HERE}:/usr/bin:/bin",
        "PS1": "$ ",
        "CALLBOARD_ADMIN_URL": server.url,
    }
    with Terminal(["bash", "--norc", "--noprofile", "-i"], environment) as bash:
        bash.type("source <(callboard completion bash); echo so''urced\n")
        bash.wait_for("sourced\n")
        bash.type("callboard undr\t")
        bash.wait_for("$ callboard undrain")
        bash.type("ll\t")
        bash.wait_for("$ callboard undrain llama-3")
        bash.type("#gpu-\t\t")
        bash.wait_for("llama-3#gpu-2")
        bash.type("\x15callboard instances q\t")
        bash.wait_for("$ callboard instances qwen:7b")


@pytest.mark.parametrize(
    ("shell", "options", "read"),
    [
        ("zsh", ("-f", "-i"), "source <(callboard completion zsh)"),
        ("fish", ("--no-config",), "callboard completion fish | source"),
    ],
)
def test_the_other_shells_complete_too(
    server: AdminServer, shell: str, options: tuple[str, ...], read: str
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    environment = {"PATH": f"{HERE}:/usr/bin:/bin", "CALLBOARD_ADMIN_URL": server.url}
    with Terminal([program, *options], environment) as terminal:
        terminal.type(f"{read}; echo so''urced\n")
        terminal.wait_for("sourced\n")
        terminal.type("callboard undr\t")
        terminal.wait_for("callboard undrain")
        terminal.type("\x15callboard instances q\t")
        terminal.wait_for("callboard instances qwen:7b")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_can_read(shell: str) -> None:
    done = run_to_end("completion", shell)
    assert done.returncode == 0
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    read = subprocess.run([program, "-n"], input=done.stdout, text=True, capture_output=True)
    assert (read.returncode, read.stderr) == (0, "")
