"""The front door of the engines: every name opens, and opening it costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import actors.engines as engines


@pytest.mark.parametrize("name", engines.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(engines, name)
    if isinstance(value, type):
        assert value.__doc__


def test_the_public_names_are_sorted_and_told_once() -> None:
    assert engines.__all__ == sorted(set(engines.__all__))


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import actors.engines", "httptools"),
        ("import actors.engines", "xllamacpp"),
        ("from actors.engines.llama import LlamaEngine", "xllamacpp"),
    ],
)
def test_importing_brings_in_no_more_than_is_needed(statement: str, absent: str) -> None:
    code = f"{statement}\nimport sys\nprint({absent!r} in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.strip() == b"False"
