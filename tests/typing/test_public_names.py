"""What a user's type checker sees of ``actors``."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import actors
import actors.supervision
from tests.typing.public_names import PROGRAMS

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("public_names.py")


def test_the_users_file_uses_every_public_name() -> None:
    used = {n.id for n in ast.walk(ast.parse(FILE.read_text())) if isinstance(n, ast.Name)}
    assert set(actors.__all__) - used == set()


def test_the_public_names_are_sorted_and_exist() -> None:
    assert list(actors.__all__) == sorted(actors.__all__)
    assert [name for name in actors.__all__ if not hasattr(actors, name)] == []


def test_both_doors_offer_the_same_names() -> None:
    assert actors.__all__ == actors.supervision.__all__


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_what_the_types_allow_works(program: Callable[[], None]) -> None:
    program()


def test_pyright_strict_finds_nothing_in_the_users_file() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyright", str(FILE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors, 0 warnings" in done.stdout
