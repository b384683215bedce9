"""The admin API of a real service: what it shows, to whom, and that it harms nothing."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from actors.settings.setting import EtcdSettings
from http_service import BindFailed, ConfigError
from http_service.admin.documents import setting_text
from http_service.admin.parts import PREFIX
from http_service.server.actors import ServerFailed
from tests.docs.blocks import ROOT
from tests.http_service.admin.conftest import Start, admin, read
from tests.support.chat import chat, get_json
from tests.support.waiting import eventually


def test_the_overview_counts_what_there_is(start: Start) -> None:
    service = start(engine=("echo=a/b", "echo=c"))
    status, seen = get_json(f"{admin(service)}/overview")
    assert (status, seen["status"], seen["reason"]) == (200, "ready", None)
    assert (seen["models"], seen["instances"], seen["restarts"]) == (2, 6, 0)


def test_models_and_one_models_instances_are_listed(start: Start) -> None:
    service = start(engine=("echo=a/b",))
    assert chat(service.url, "a/b")[0] == 200
    models = get_json(f"{admin(service)}/models")[1]["models"]
    assert [(each["id"], each["kind"], each["serving"]) for each in models] == [
        ("a/b", "chat", 1),
        ("a/b", "completions", 1),
        ("a/b", "embeddings", 1),
    ]
    for path in ("a/b", "a%2Fb"):
        one = get_json(f"{admin(service)}/models/{path}")[1]
        assert [each["selections"] for each in one["instances"]] == [1, 0, 0]
    status, refused = read(f"{admin(service)}/models/nope")
    assert (status, refused["error"]["code"]) == (404, "model_not_found")


def test_the_tree_shows_a_restart_and_its_cause(start: Start) -> None:
    service = start()
    service.tree.stop_child("registry")
    down = {each["id"]: each for each in get_json(f"{admin(service)}/tree")[1]["children"]}
    assert down["registry"]["state"] == "down"
    service.tree.restart_child("registry")

    def registry() -> dict[str, Any]:
        children: list[dict[str, Any]] = get_json(f"{admin(service)}/tree")[1]["children"]
        return next(each for each in children if each["id"] == "registry")

    eventually(lambda: registry()["restarts"] == 1, 10, "the registry was restarted")
    assert registry()["state"] == "up"
    assert registry()["last_exit"] == down["registry"]["last_exit"] is not None
    assert get_json(f"{admin(service)}/overview")[1]["restarts"] == 1


def test_a_killed_admin_listener_comes_back_and_no_request_fails(start: Start) -> None:
    service = start()
    address = service.tree.address("admin")
    address.tell(ServerFailed(OSError("accepting failed")))
    assert chat(service.url, "echo")[0] == 200
    eventually(lambda: address.epoch == 2, 10, "it was restarted")
    assert get_json(f"{admin(service)}/overview")[1]["restarts"] == 1


def test_sources_are_shown_with_what_only_operators_see(start: Start, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"name": "bad"}')
    service = start(discovery_dir=str(tmp_path))

    def quarantined() -> object:
        (source,) = get_json(f"{admin(service)}/sources")[1]["sources"]
        assert source["name"] == "discovery"
        return source["details"]["quarantined"]

    eventually(lambda: bool(quarantined()), 10, "the entry is in quarantine")


def test_stacks_name_every_thread(start: Start) -> None:
    threads = get_json(f"{admin(start())}/stacks")[1]["threads"]
    assert "MainThread" in [each["name"] for each in threads]
    assert all(each["frames"] for each in threads)


def test_the_public_port_has_none_of_it(start: Start) -> None:
    service = start()
    assert read(f"{service.url}{PREFIX}/tree")[0] == 404


def test_without_the_option_there_is_none(start: Start) -> None:
    service = start(console="off")
    assert service.admin is None
    assert "admin" not in [child.id for child in service.tree.describe().children]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_would_change_something_is_refused(start: Start, method: str) -> None:
    request = urllib.request.Request(
        f"{admin(start())}/tree", b"{}", {"content-type": "application/json"}, method=method
    )
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()
    assert refused.value.code == 405
    assert "GET" in refused.value.headers["allow"]


def test_a_name_that_a_web_page_gave_this_machine_is_refused(start: Start) -> None:
    assert read(f"{admin(start())}/tree", host="evil.example:8788")[0] == 421


def test_with_operator_keys_only_they_are_let_in(start: Start, tmp_path: Path) -> None:
    clients, operators = tmp_path / "clients", tmp_path / "operators"
    clients.write_text("client-key\n")
    operators.write_text("operator-key\n")
    service = start(api_key_file=str(clients), operator_key_file=str(operators))
    codes = [
        read(f"{admin(service)}/overview", **headers)[0]
        for headers in ({}, {"authorization": "Bearer client-key"}, {"x-api-key": "operator-key"})
    ]
    assert codes == [401, 401, 200]


def test_an_address_beyond_this_machine_needs_a_key_file(start: Start, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--operator-key-file"):
        start(console="0.0.0.0:0")
    keys = tmp_path / "keys"
    keys.write_text("operator-key\n")
    service = start(console="0.0.0.0:0", operator_key_file=str(keys))
    assert read(f"{admin(service)}/tree")[0] == 401


def test_a_taken_port_is_said_and_nothing_runs(start: Start) -> None:
    taken = admin(start()).removesuffix(PREFIX).rpartition("/")[2]
    with pytest.raises(BindFailed, match="in use"):
        start(console=taken)


def test_the_page_lists_every_route_with_its_summary(start: Start) -> None:
    page = (ROOT / "docs" / "reference" / "admin-api.md").read_text()
    rows = dict(re.findall(r"^\| `((?:GET|POST) \S+)` \| (.+) \|$", page, re.MULTILINE))
    paths = get_json(f"{admin(start())}/openapi.json")[1]["paths"]
    assert rows == {
        f"{method.upper()} {path}": operation["summary"]
        for path, operations in paths.items()
        if path.startswith(PREFIX)
        for method, operation in operations.items()
    }


def test_its_own_document_describes_every_route(start: Start) -> None:
    paths = get_json(f"{admin(start())}/openapi.json")[1]["paths"]
    assert paths[f"{PREFIX}/tree"]["get"]["responses"]["200"]["content"]
    drain = paths[f"{PREFIX}/instances/{{kind}}/{{model}}/{{id}}:drain"]["post"]
    assert [each["name"] for each in drain["parameters"] if each["in"] == "path"] == [
        "kind",
        "model",
        "id",
    ]


def test_settings_are_shown_with_their_source_and_without_secrets(start: Start) -> None:
    service = start(
        etcd_access=EtcdSettings(password="secret", user="u"), sources={"etcd_user": "variable"}
    )
    shown = {each["name"]: each for each in read(f"{admin(service)}/config")[1]["settings"]}
    assert (shown["etcd_user"]["value"], shown["etcd_user"]["source"]) == ("u", "variable")
    assert (shown["etcd_password"]["value"], shown["port"]["source"]) == ("***", "default")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (("https://user:secret@a:1", "https://b:1"), "https://***@a:1,https://b:1"),
        (2.5, "2.5"),
        ((), ""),
    ],
)
def test_a_setting_as_text_names_no_user_of_a_url(value: object, expected: str) -> None:
    assert setting_text(value) == expected
