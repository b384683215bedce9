"""The commands that read a running front-end, as a user runs them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cli.output import table
from tests.support.callboard import Callboard, run_to_end

AT = ("--host", "127.0.0.1", "--port", "0", "--console", "127.0.0.1:0")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with Callboard("serve", *AT, "--engine", "echo=team/model") as front:
        yield front.wait_for("console on ").split("console on ")[1].strip()


def test_status_is_one_screen_and_a_health_check(url: str) -> None:
    done = run_to_end("status", "--admin-url", url)
    assert done.returncode == 0
    assert ": ready" in done.stdout.splitlines()[0]


def test_a_containers_health_check_asks_the_public_port_and_prints_nothing() -> None:
    with Callboard("serve", "--host", "127.0.0.1", "--port", "0", "--console", "off") as front:
        at = ("--url", f"{front.url}/v1", "--config", "off")
        done = run_to_end("status", "--ready", "--quiet", *at)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert run_to_end("status", "--ready", *at).stdout == "ready\n"
    done = run_to_end("status", "--ready", "--quiet", *at)
    assert (done.returncode, done.stdout) == (1, "")


def test_the_tree_is_drawn_with_every_child(url: str) -> None:
    done = run_to_end("tree", "--admin-url", url)
    names = [line.strip("├└─│ ").partition(",")[0] for line in done.stdout.splitlines()]
    console = ["events", "requests", "recorder", "admin", "feed"]
    assert names == ["callboard", "registry", *console, "serving", "eventloop", "http"]


def test_models_and_instances_are_tables_with_titles(url: str) -> None:
    done = run_to_end("models", "--admin-url", url)
    assert done.stdout.splitlines()[0].split() == [
        "ID", "KIND", "INSTANCES", "SERVING", "INFLIGHT", "WAITING"
    ]  # fmt: skip
    done = run_to_end("instances", "team/model", "--admin-url", url)
    assert done.stdout.splitlines()[1].split()[:2] == ["#static", "chat"]


def test_json_is_the_admin_apis_own_document(url: str) -> None:
    done = run_to_end("models", "--output", "json", "--admin-url", url)
    assert [each["id"] for each in json.loads(done.stdout)["models"]] == ["team/model"] * 3


def test_a_model_that_is_not_there_is_named(url: str) -> None:
    done = run_to_end("instances", "nope", "--admin-url", url)
    assert done.returncode == 1
    assert "nope" in done.stderr
    assert "Traceback" not in done.stderr


def test_where_nothing_listens_it_says_how_to_begin() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        done = run_to_end("status", "--admin-url", f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert done.returncode == 1
    assert "--console" in done.stderr


def test_what_is_not_an_admin_api_is_told_apart() -> None:
    with Callboard("serve", "--host", "127.0.0.1", "--port", "0") as front:
        done = run_to_end("tree", "--admin-url", front.url)
    assert done.returncode == 1
    assert "404" in done.stderr


def test_a_key_is_read_from_a_file(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("# operators\noperator-key\n")
    with Callboard("serve", *AT, "--operator-key-file", str(keys)) as front:
        url = front.wait_for("console on ").split("console on ")[1].strip()
        refused = run_to_end("status", "--admin-url", url)
        assert refused.returncode == 1
        assert "--admin-key-file" in refused.stderr
        with_key = run_to_end("status", "--admin-url", url, "--admin-key-file", str(keys))
        assert with_key.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("instances",), "instances needs a MODEL"),
        (("tree", "--admin-url", "127.0.0.1:8788"), "give http://HOST:PORT"),
        (("tree", "--otput", "json"), "--output"),
        (("tree", "--admin-key-file", "/no/such/file"), "can't be read"),
        (("serve", "--console", "8788"), "127.0.0.1:8788, or off"),
        (("serve", "--console", "::1:8788"), "[::1]:8788"),
        (("tre",), "tree"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    arguments: tuple[str, ...], sentence: str
) -> None:
    done = run_to_end(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


@given(st.lists(st.tuples(st.text(), st.integers(), st.none()), min_size=1))
def test_a_table_shows_no_control_character_and_one_line_a_row(
    rows: list[tuple[str, int, None]],
) -> None:
    lines = [*table([("NAME", "COUNT", "ERROR"), *rows])]
    assert len(lines) == len(rows) + 1
    assert all(line.isprintable() for line in lines)
