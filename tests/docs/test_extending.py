"""Each recipe of the guide is carried out: on a copy of the product, to the answer of a request."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from actors.discovering import SOURCES
from actors.settings.serve import ServeSettings
from actors.settings.setting import named_settings
from tests.docs.blocks import ROOT
from tests.docs.patches import Patch, copy_of_the_product, patches
from tests.engines.raw_server import RawServer, answer, says
from tests.support.callboard import Callboard
from tests.support.chat import chat, get_json, wait_for_model
from tests.support.slow_upstream import SlowUpstream
from tests.support.waiting import eventually

PAGE = ROOT / "docs" / "guides" / "extending.md"
ENGINE, KIND, ENDPOINT, POLICY, SOURCE = patches(PAGE)
LONGEST = 15


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return copy_of_the_product(tmp_path)


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all copies: a check reads again what the patch before it did not change."""
    return tmp_path_factory.mktemp("mypy")


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'http'}"}
    return subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def files_with_type_errors(tree: Path, cache: Path) -> set[str]:
    done = run(tree, "-m", "mypy", "--cache-dir", str(cache), "actors", "discovery", "http")
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return {*re.findall(r"^([\w/]+\.py):\d+: error:", done.stdout, re.MULTILINE)}


def apply(patch: Patch, tree: Path) -> None:
    for hunk in patch.hunks:
        hunk.apply(tree)


def serving(tree: Path, *arguments: str) -> Callboard:
    path = {"PYTHONPATH": f"{tree}{os.pathsep}{tree / 'http'}"}
    return Callboard("--port", "0", *arguments, environment=path, cwd=tree)


def post(url: str, body: dict[str, Any]) -> Any:
    head = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), head)
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)


@pytest.mark.parametrize("patch", patches(PAGE), ids=lambda patch: patch.hunks[0].file)
def test_a_recipe_adds_few_lines(patch: Patch) -> None:
    assert 0 < patch.added <= LONGEST


def test_an_engine_is_a_file_and_a_row(tree: Path) -> None:
    apply(ENGINE, tree)
    with serving(tree, "--engine", "shout=loud") as service:
        status, answer = chat(service.url, "loud", "hello there")
    assert status == 200
    assert answer["choices"][0]["message"]["content"] == "HELLO THERE"
    refused = run(tree, "-m", "actors.main", "serve", "--engine", "shuot")
    assert refused.returncode == 2
    assert "no engine 'shuot'" in refused.stderr
    assert "did you mean 'shout'?" in refused.stderr


def test_mypy_lists_what_a_new_kind_needs(tree: Path, mypy_cache: Path) -> None:
    contract = KIND.hunks[0].file
    first = [hunk for hunk in KIND.hunks if hunk.file == contract]
    for hunk in first:
        hunk.apply(tree)
    endpoint = {file for file in KIND.files if "/endpoints/" in file}
    assert files_with_type_errors(tree, mypy_cache) == KIND.files - {contract} - endpoint
    for hunk in KIND.hunks[len(first) :]:
        hunk.apply(tree)
    assert files_with_type_errors(tree, mypy_cache) == set()


def test_a_new_kind_is_served_beside_the_others(tree: Path) -> None:
    apply(KIND, tree)
    with serving(tree, "--engine", "echo=parrot") as service:
        answer = post(f"{service.url}/v1/infill", {"model": "parrot", "prompt": "a", "suffix": "b"})
        with urllib.request.urlopen(f"{service.url}/openapi.json", timeout=30) as response:
            paths = json.load(response)["paths"]
    assert answer["id"].startswith("cmpl-")
    assert answer["choices"][0]["text"] == "a"
    assert "/v1/infill" in paths


def test_an_endpoint_is_a_row(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    apply(ENDPOINT, tree)
    assert len(ENDPOINT.files) == 1
    folder = tmp_path_factory.mktemp("entries")
    told = b'{"results":[{"flagged":false}]}'
    with RawServer(says(answer(200, told, "content-type: application/json"))) as upstream:
        entry = {"name": "m", "model_type": "classify", "endpoint": {"url": upstream.url}}
        (folder / "m.json").write_text(json.dumps(entry))
        with serving(tree, "--discovery-dir", str(folder)) as front:
            wait_for_model(front.url, "m")
            asked = {"model": "m", "input": "hello"}
            assert post(f"{front.url}/v1/moderations", asked) == json.loads(told)
        assert upstream.received[-1].line.startswith("POST /v1/moderations ")
        assert json.loads(upstream.received[-1].body) == asked


def test_a_policy_is_a_file_and_a_word(
    tree: Path, mypy_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    apply(POLICY, tree)
    assert files_with_type_errors(tree, mypy_cache) == set()
    folder = tmp_path_factory.mktemp("entries")
    with SlowUpstream(tokens=1) as old, SlowUpstream(tokens=2) as new:
        (folder / "old.json").write_text(entry(old, "old"))
        with serving(tree, "--discovery-dir", str(folder)) as front:
            wait_for_model(front.url, "m")
            (folder / "new.json").write_text(entry(new, "new"))
            eventually(lambda: instances(front.url) == 2, 30, "both instances are known")
            assert {tokens(front.url) for _ in range(10)} == {1}
            (folder / "old.json").unlink()
            eventually(lambda: instances(front.url) == 1, 30, "the old instance is gone")
            assert {tokens(front.url) for _ in range(3)} == {2}


def test_a_source_is_a_file_a_row_and_a_setting(tree: Path) -> None:
    apply(SOURCE, tree)
    with (
        SlowUpstream(tokens=1) as upstream,
        serving(tree, "--static", f"m={upstream.url}") as front,
    ):
        wait_for_model(front.url, "m")
        assert tokens(front.url) == 1
        assert get_json(f"{front.url}/ready")[0] == 200
        assert get_json(f"{front.url}/health")[1]["components"]["discovery"]["entries"] == 1


def test_each_setting_of_a_source_has_its_source() -> None:
    settings = named_settings(ServeSettings)
    assert {name for name, _, setting in settings if setting.source} == {*SOURCES}
    assert not ServeSettings().discovers
    assert ServeSettings(discovery_dir="entries").discovers


def entry(upstream: SlowUpstream, instance: str) -> str:
    named = {"name": "m", "model_type": "chat", "instance": instance, "policy": "standby"}
    return json.dumps({**named, "endpoint": {"url": upstream.url}})


def instances(url: str) -> int:
    return len(get_json(f"{url}/v1/models/m/instances")[1]["data"])


def tokens(url: str) -> int:
    status, answer = chat(url, "m")
    assert status == 200
    return len(answer["choices"][0]["message"]["content"].split())
