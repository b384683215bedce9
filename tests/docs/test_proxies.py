"""The proxies' configurations in the guide are ones that the proxies accept."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

FOLDER = ROOT / "docs" / "examples" / "proxies"
GUIDE = ROOT / "docs" / "guides" / "proxies.md"


def accepted(*command: str) -> str:
    """What ``command`` printed; skips where there is no such program."""
    program = shutil.which(command[0])
    if program is None:
        pytest.skip(f"{command[0]} is not installed on this machine")
    done = subprocess.run(
        [program, *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_nginx_accepts_its_file(tmp_path: Path) -> None:
    prefix = ("-p", str(tmp_path), "-e", "stderr")
    global_ = f"pid {tmp_path}/nginx.pid;"
    accepted("nginx", "-t", *prefix, "-g", global_, "-c", str(FOLDER / "nginx.conf"))


def test_haproxy_accepts_its_file_without_a_warning() -> None:
    assert "WARNING" not in accepted("haproxy", "-c", "-f", str(FOLDER / "haproxy.cfg"))


def test_caddy_accepts_its_file() -> None:
    accepted("caddy", "validate", "--adapter", "caddyfile", "--config", str(FOLDER / "Caddyfile"))


def test_haproxys_file_has_the_two_options_where_they_count() -> None:
    text = (FOLDER / "haproxy.cfg").read_text()
    defaults = text.split("\ndefaults\n")[1].split("\nfrontend ")[0]
    assert "option abortonclose" in defaults
    assert "option http-no-delay" in text


def test_the_guide_names_every_file_and_no_other() -> None:
    named = {word for word in GUIDE.read_text().split("examples/proxies/") if word[0].isalpha()}
    files = {path.name for path in FOLDER.iterdir()}
    assert {word.split(")")[0] for word in named if ")" in word} >= files
