"""The wheel alone, in an empty environment, is a supervision library.

pip fetches hatchling and Pykka from the package registry, as a user's would.
"""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pytest

from tests.packaging.building import ROOT, pip, succeed

EXAMPLE = ROOT / "docs" / "examples" / "ticker.py"

FOREIGN: Final = (
    "etcd3",
    "falcon",
    "google.protobuf",
    "grpc",
    "httptools",
    "msgspec",
    "orjson",
    "prometheus_client",
    "structlog",
    "waitress",
)
"""What the service needs, and supervision must not."""

LOOK: Final = f"""
import importlib.metadata, importlib.util, json, sys
import actors, actors.testing

def is_there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False

foreign = {FOREIGN!r}
print(json.dumps({{
    "file": actors.__file__,
    "names": sorted(vars(actors).keys() & set(actors.__all__)),
    "installed": sorted(d.name.lower() for d in importlib.metadata.distributions()),
    "there": [name for name in foreign if is_there(name)],
    "imported": [name for name in foreign if name in sys.modules],
}}))
"""


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with the wheel and Pykka, and nothing else."""
    home = tmp_path_factory.mktemp("environment")
    succeed(sys.executable, "-m", "venv", "--without-pip", str(home))
    python = home / "bin" / "python"
    pykka = f"pykka=={version('pykka')}"
    pip("--python", str(python), "install", "--no-deps", str(wheel), pykka)
    return python


@pytest.fixture(scope="module")
def seen(python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What a program sees there that imports ``actors``. ``-I``: it cannot see this checkout."""
    found: dict[str, list[str]] = json.loads(
        succeed(str(python), "-I", "-c", LOOK, cwd=tmp_path_factory.mktemp("empty"))
    )
    return found


def test_the_environment_holds_the_wheel_and_pykka_alone(seen: dict[str, list[str]]) -> None:
    assert seen["installed"] == ["callboard", "pykka"]
    assert seen["there"] == []


def test_importing_actors_brings_in_pykka_and_nothing_else(seen: dict[str, list[str]]) -> None:
    assert seen["imported"] == []
    assert "Supervisor" in seen["names"]


def test_it_is_the_wheel_that_was_imported(seen: dict[str, list[str]], python: Path) -> None:
    assert str(seen["file"]).startswith(str(python.parents[1]))


def test_the_guides_example_heals_a_crash_there(python: Path, tmp_path: Path) -> None:
    script = tmp_path / EXAMPLE.name
    shutil.copy(EXAMPLE, script)
    printed = succeed(str(python), "-I", str(script), cwd=tmp_path)
    assert "ticker ended: crash" in printed
    assert "ticker is up again, epoch 2" in printed
    assert "ACME still costs 104.5" in printed


def test_the_wheel_holds_the_console(wheel: Path) -> None:
    console = ROOT / "http" / "http_service" / "console"
    files = {path.relative_to(ROOT / "http") for path in console.rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        assert {path.as_posix() for path in files} <= {*archive.namelist()}


def test_the_wheel_is_typed_licensed_and_without_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "actors/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"actors", "discovery", "http_service"}
