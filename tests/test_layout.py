"""The ``http/`` trap: a source root beside the code, never a package that hides the library's."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HTTP = ROOT / "http"


def python(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_http_holds_exactly_one_package_and_no_module_of_its_own() -> None:
    packages = [path.parent.name for path in HTTP.glob("*/__init__.py")]
    assert packages == ["http_service"]
    assert list(HTTP.glob("*.py*")) == []


@pytest.mark.parametrize("safe_path", ["", "1"])
def test_import_http_is_the_standard_librarys(safe_path: str) -> None:
    shown = python("-c", "import http; print(http.__file__)", PYTHONSAFEPATH=safe_path)
    assert Path(shown.strip()).parent.parent == Path(sysconfig.get_path("stdlib"))


def test_the_http_client_of_the_standard_library_can_be_imported_at_the_root() -> None:
    python("-c", "import http.client, http.server")


def test_the_entry_point_starts_at_the_root() -> None:
    assert "python -m actors.main" in python("-m", "actors.main", "--help")


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_importing_the_library_brings_in_no_server_and_no_etcd() -> None:
    heavy = "falcon waitress grpc etcd3 httptools msgspec structlog prometheus_client"
    code = f"import sys, actors; print([m for m in {heavy.split()!r} if m in sys.modules])"
    assert python("-c", code).strip() == "[]"
