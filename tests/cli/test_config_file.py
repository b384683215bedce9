"""callboard.toml: what it may hold, what wins over it, and what each mistake is answered with."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.cli.config_file import ConfigInvalid, find, read
from actors.cli.parsing import UsageError, parse_settings
from actors.settings.admin import AdminSettings
from actors.settings.chat import ChatSettings
from actors.settings.serve import ServeSettings
from actors.settings.setting import shown_settings
from tests.docs.blocks import blocks
from tests.docs.command_line import PAGE

FILE = """
[serve]
port = 9000
etcd = ["http://a:1", "b:2"]
drain_timeout = 2.5
open_probes = false
body_limit = "45m"
etcd_user = "me"

[worker]
model = "m"

[profiles.paris]
admin_url = "http://10.0.0.9:8788"
url = "http://10.0.0.9:8787/v1"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "callboard.toml"
    path.write_text(FILE)
    return path


def serve(
    file: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> ServeSettings:
    options = ["--config", str(file), *arguments]
    return parse_settings(ServeSettings, "serve", "", options, environment or {})


def refusal(tmp_path: Path, text: str, *arguments: str) -> str:
    path = tmp_path / "x.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        serve(path, *arguments)
    return str(raised.value).replace(f"{path}", "FILE")


def test_values_of_a_section_are_read_as_the_options_are(file: Path) -> None:
    settings = serve(file)
    assert settings.port == 9000
    assert settings.etcd == ("http://a:1", "http://b:2")
    assert settings.drain_timeout == 2.5
    assert settings.open_probes == "no"
    assert settings.body_limit == 45 * 1024 * 1024
    assert settings.etcd_access.user == "me"


def test_option_wins_over_variable_over_file_over_default(file: Path) -> None:
    variable = {"CALLBOARD_PORT": "2", "CALLBOARD_DRAIN_TIMEOUT": "3"}
    settings = serve(file, "--port", "1", environment=variable)
    assert (settings.port, settings.drain_timeout) == (1, 3.0)
    sources = {name: source for name, _, source in shown_settings(settings)}
    assert sources["port"] == "option"
    assert sources["drain_timeout"] == "variable"
    assert sources["etcd_user"] == "file"
    assert sources["host"] == "default"


def test_a_variable_may_name_the_file(file: Path) -> None:
    named = {"CALLBOARD_CONFIG": str(file)}
    assert parse_settings(ServeSettings, "serve", "", [], named).port == 9000
    assert parse_settings(ServeSettings, "serve", "", ["--config", "off"], named).port == 8787


def test_a_file_in_this_folder_is_found(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(file.parent)
    assert find("") == Path("callboard.toml")
    assert find("off") is None
    assert parse_settings(ServeSettings, "serve", "", [], {}).port == 9000


def test_a_profile_says_where_a_front_end_is(file: Path) -> None:
    at = ["--config", str(file), "--profile", "paris"]
    assert parse_settings(AdminSettings, "tree", "", at, {}).admin_url == "http://10.0.0.9:8788"
    assert parse_settings(ChatSettings, "chat", "", ["m", *at], {}).url.startswith(
        "http://10.0.0.9"
    )
    given_too = [*at, "--admin-url", "http://h:1"]
    assert parse_settings(AdminSettings, "tree", "", given_too, {}).admin_url == "http://h:1"


def test_the_example_of_the_reference_is_accepted(tmp_path: Path) -> None:
    (example,) = [each.text for each in blocks(PAGE) if each.language == "toml"]
    path = tmp_path / "callboard.toml"
    path.write_text(example)
    assert serve(path).drain_timeout == 60
    at = ["--config", str(path), "--profile", "paris"]
    assert parse_settings(AdminSettings, "tree", "", at, {}).admin_url == "http://10.0.0.9:8788"


def test_without_a_profile_such_a_command_reads_no_file(file: Path) -> None:
    settings = parse_settings(AdminSettings, "tree", "", ["--config", str(file)], {})
    assert settings.admin_url == "http://127.0.0.1:8788"


def test_a_profile_that_is_not_there_is_refused_with_the_one_that_was_meant(file: Path) -> None:
    at = ["--config", str(file), "--profile", "pari"]
    with pytest.raises(UsageError, match=r"no \[profiles.pari\]; did you mean 'paris'\?"):
        parse_settings(AdminSettings, "tree", "", at, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[serve]\nprot = 1", "FILE: [serve] prot is not a setting; did you mean 'port'?"),
        ("[serve]\nport = 'x'", "FILE: [serve] port: 'x' is not a port: give a whole number"),
        ("[serve]\nport = [1]", "FILE: [serve] port: give text or a number"),
        ("[serve]\netcd = [[1]]", "FILE: [serve] etcd: give text or a number"),
        ("[serve]\netcd = {a = 1}", "FILE: [serve] etcd: give text, a number, or a list of these"),
        ("[serve]\nport = true", "FILE: [serve] port: 'yes' is not a port"),
        ("[serve]\nconfig = 'x'", "FILE: [serve] config is not a setting"),
        (
            "[serve]\netcd_password = 'hunter2'",
            "FILE: [serve] etcd_password: secrets have files of their own: give etcd_password_file",
        ),
        ("[sevre]\nport = 1", "FILE: [sevre] is not a section: give [serve], [worker]"),
        ("[sevre]\nport = 1", "did you mean 'serve'?"),
        ("serve = 1", "FILE: serve must be a section: write [serve] on its own line"),
        ("x==", "FILE: this is not TOML: "),
    ],
)
def test_each_mistake_is_one_sentence_that_names_the_key(
    tmp_path: Path, text: str, said: str
) -> None:
    told = refusal(tmp_path, text)
    assert said in told
    assert "hunter2" not in told
    assert "\n" not in told


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--config: '.*' can't be read: No such file"):
        serve(tmp_path / "absent.toml")


@given(st.binary(max_size=200))
def test_whatever_bytes_a_file_holds_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("any") / "callboard.toml"
    path.write_bytes(content)
    with contextlib.suppress(ConfigInvalid):
        assert read(path).path == str(path)
