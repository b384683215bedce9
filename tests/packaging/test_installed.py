"""The wheel as its users get it: ``pip install 'callboard[llama]'`` in an empty environment.

pip fetches what is needed from the package registry, and keeps it for the next run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.packaging.building import ROOT, pip, succeed
from tests.support.callboard import Callboard
from tests.support.chat import chat, wait_for_model
from tests.support.slow_upstream import SlowUpstream

pytestmark = pytest.mark.timeout(300)

MODEL: Final = "smollm2-135m-instruct"

IMPORT_ALL: Final = """
import importlib, json, pkgutil
import actors, discovery, http_service
failed = {}
names = [p.__name__ for p in (actors, discovery, http_service)]
for package in (actors, discovery, http_service):
    names += [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps({"modules": len(names), "failed": failed, "file": actors.__file__}))
"""


class Installed:
    """An environment of its own, and commands run from it where this checkout is not seen."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.python = home / "bin" / "python"
        self.folder = folder
        script = (str(home / "bin" / "callboard"),)
        self.start = partial(Callboard, program=script, cwd=folder)

    def install(self, *what: str) -> None:
        constraint = ("--constraint", str(ROOT / "constraints.txt"))
        pip("--python", str(self.python), "install", "--quiet", *constraint, *what)

    def environment(self) -> dict[str, str]:
        """Without an etcd, and with a cache for weights that is empty."""
        return {
            "PATH": f"{self.python.parent}:{os.defpath}",
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "PIP_CACHE_DIR": pip("cache", "dir").strip(),
        }


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel and what it depends on: no extra, nothing of the dev group."""
    home, folder = tmp_path_factory.mktemp("plain"), tmp_path_factory.mktemp("elsewhere")
    succeed(sys.executable, "-m", "venv", str(home))
    installed = Installed(home, folder)
    installed.install(str(wheel))
    return installed


@pytest.fixture(scope="module")
def llama(plain: Installed, wheel: Path) -> Installed:
    """The same with the extra; tests of the plain one come first."""
    plain.install(f"{wheel}[llama]")
    return plain


@pytest.fixture
def upstream() -> Iterator[SlowUpstream]:
    with SlowUpstream() as server:
        yield server


def test_every_module_imports_without_an_extra_and_without_the_dev_group(plain: Installed) -> None:
    seen = json.loads(succeed(str(plain.python), "-I", "-c", IMPORT_ALL, cwd=plain.folder))
    # The screen of callboard top is the extra's; top itself refuses with a sentence.
    assert seen["failed"].keys() == {"actors.cli.top_screen"}
    assert seen["modules"] > 200
    assert str(seen["file"]).startswith(str(plain.python.parents[1]))


@pytest.mark.parametrize("command", ["serve", "worker", "demo"])
def test_each_command_shows_its_help(plain: Installed, command: str) -> None:
    assert "CALLBOARD_" in succeed(
        str(plain.python.parent / "callboard"), command, "--help", cwd=plain.folder
    )


@pytest.mark.parametrize(
    "command", [["demo"], ["worker", "--llama", "smollm2"], ["worker", "--llama", "x.gguf"]]
)
def test_a_missing_extra_is_one_sentence_that_names_its_pip_install(
    plain: Installed, command: list[str]
) -> None:
    (plain.folder / "x.gguf").touch()
    model = ["--model", "m"] if command[0] == "worker" else []
    done = subprocess.run(
        [str(plain.python.parent / "callboard"), *command, *model],
        cwd=plain.folder,
        env={**os.environ, **plain.environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("callboard: ")]
    assert "pip install 'callboard[llama]'" in line
    assert "Traceback" not in done.stderr


def test_serve_and_worker_run_and_a_chat_is_answered(
    plain: Installed, upstream: SlowUpstream
) -> None:
    models = plain.folder / "models"
    models.mkdir()
    where = ("--host", "127.0.0.1", "--port", "0", "--discovery-dir", str(models))
    what = ("--url", upstream.url, "--model", "m", "--announce-dir", str(models), "--drain", "0")
    with plain.start("serve", *where) as service, plain.start("worker", *what) as worker:
        worker.wait_for("announced m")
        wait_for_model(service.url, "m")
        assert chat(service.url, "m")[0] == 200
        for process in (worker, service):
            process.signal(signal.SIGTERM)
            assert process.exit_code() == 0
    assert [*models.iterdir()] == []


@pytest.mark.model
def test_the_demo_answers_a_chat_with_the_extra_alone(llama: Installed) -> None:
    """It has no etcd, and fetches the weights itself."""
    with llama.start("demo", "--port", "0", environment=llama.environment()) as demo:
        demo.wait_for("listening on ", 200.0)
        question = "What is the capital of France? Answer in one sentence."
        status, body = chat(demo.url, MODEL, question, temperature=0, max_tokens=32)
        assert status == 200
        assert body["choices"][0]["message"]["content"] == "The capital of France is Paris."
        demo.wait_for("fetching the model once")
        demo.signal(signal.SIGTERM)
        assert demo.exit_code(60) == 0
