"""``check-config``: every mistake at once, where each value comes from, and nothing started."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.callboard import run_to_end


def check(
    tmp_path: Path, text: str, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "callboard.toml"
    path.write_text(text)
    return run_to_end("check-config", str(path), *options, environment=environment)


def test_it_lists_each_value_with_its_source(tmp_path: Path) -> None:
    text = '[serve]\nport = 9000\n[profiles.here]\nadmin_url = "http://127.0.0.1:8788"'
    done = check(tmp_path, text, "--output", "json", CALLBOARD_HOST="127.0.0.1")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)["settings"]
    found = {(row["section"], row["name"]): (row["value"], row["source"]) for row in rows}
    assert found["serve", "port"] == (9000, "file")
    assert found["serve", "host"] == ("127.0.0.1", "variable")
    assert found["serve", "drain_timeout"] == (25.0, "default")
    assert found["profiles.here", "admin_url"] == ("http://127.0.0.1:8788", "file")
    assert not any(section == "worker" for section, _ in found)


def test_for_people_it_is_a_table(tmp_path: Path) -> None:
    done = check(tmp_path, '[worker]\nmodel = "m"\nurl = "http://h/v1"')
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].endswith("no mistakes")
    assert ["worker", "model", "m", "file"] in [line.split() for line in done.stdout.splitlines()]


def test_it_names_every_mistake_and_exits_with_2(tmp_path: Path) -> None:
    text = (
        "[serve]\nprot = 1\ndrain_timeout = 'soon'\n[worker]\nttl = 1\n[profiles.x]\nadmn_url = ''"
    )
    done = check(tmp_path, text)
    assert done.returncode == 2
    told = done.stderr.splitlines()
    assert len(told) == 4
    for line, word in zip(told, ("prot", "drain_timeout", "ttl", "admn_url"), strict=True):
        assert line.startswith("callboard: ")
        assert f"] {word}" in line


def test_it_checks_what_a_start_checks(tmp_path: Path) -> None:
    empty = tmp_path / "keys"
    empty.write_text("# none\n")
    text = f'[serve]\napi_key_file = "{empty}"\n[worker]\nmodel = "m"'
    done = check(tmp_path, text)
    assert done.returncode == 2
    assert "api_key_file" in done.stderr
    assert "[worker]: give --url (a server that runs) or --llama" in done.stderr
    open_to_all = check(tmp_path, '[serve]\nconsole = "0.0.0.0:8788"', CALLBOARD_CONSOLE="")
    assert open_to_all.returncode == 2
    assert "--operator-key-file" in open_to_all.stderr


def test_secrets_are_masked_and_misspelt_variables_named(tmp_path: Path) -> None:
    text = '[serve]\netcd = ["https://me:hunter2@etcd:2379"]'
    done = check(tmp_path, text, CALLBOARD_ETCD_PASSWORD="hunter2", CALLBOARD_PROT="1")
    assert done.returncode == 2  # a URL must not hold one at all
    assert "hunter2" not in done.stdout + done.stderr
    assert "https://***@etcd:2379" in done.stdout
    assert ["serve", "etcd_password", "***", "variable"] in [
        line.split() for line in done.stdout.splitlines()
    ]
    assert "did you mean 'CALLBOARD_PORT'?" in done.stderr


def test_without_a_file_it_checks_the_variables(tmp_path: Path) -> None:
    done = run_to_end("check-config", "off", environment={"CALLBOARD_PORT": "x"})
    assert done.returncode == 2
    assert "CALLBOARD_PORT: 'x' is not a port" in done.stderr
