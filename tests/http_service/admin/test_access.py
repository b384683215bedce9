"""Who may change something: the right role, from our own pages, with the right media type."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from urllib.error import HTTPError

import pytest

from http_service.admin.access import origin_problem
from tests.http_service.admin.conftest import Start, admin, change, events, read

KEYS = "operator-key\nviewer ada viewer-key-1\noperator grace operator-key-2\n"


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def keys(tmp_path: Path) -> str:
    path = tmp_path / "keys"
    path.write_text(KEYS)
    return str(path)


@pytest.mark.parametrize(
    ("key", "expected"), [("operator-key", 200), ("operator-key-2", 200), ("viewer-key-1", 403)]
)
def test_viewers_look_and_operators_change(
    start: Start, keys: str, key: str, expected: int
) -> None:
    service = start(operator_key_file=keys)
    assert read(f"{admin(service)}/tree", **bearer(key))[0] == 200
    url = f"{admin(service)}/tree/registry:restart"
    assert change(url, None, **bearer(key))[0] == expected


def test_a_refused_viewer_and_a_stranger_are_in_the_audit(start: Start, keys: str) -> None:
    service = start(operator_key_file=keys)
    url = f"{admin(service)}/tree/registry:kill"
    assert change(url, {"confirm": "registry"}, **bearer("viewer-key-1"))[0] == 403
    assert change(url, {"confirm": "registry"}, **bearer("no-such-key"))[0] == 401
    found = read(f"{admin(service)}/events", **bearer("viewer-key-1"))[1]["events"]
    seen = [(each["by"], each["text"]) for each in found if each["topic"] == "admin"]
    assert seen == [
        ("ada", "POST tree/registry:kill: refused (403)"),
        ("a stranger", "POST tree/registry:kill: refused (401)"),
    ]


def test_a_clients_key_changes_nothing(start: Start, tmp_path: Path) -> None:
    (tmp_path / "clients").write_text("client-key\n")
    service = start(api_key_file=str(tmp_path / "clients"))
    assert read(f"{admin(service)}/tree", **bearer("client-key"))[0] == 200
    status, answer = change(
        f"{admin(service)}/log-level", {"level": "info"}, **bearer("client-key")
    )
    assert (status, answer["error"]["type"]) == (403, "permission_error")
    assert "--operator-key-file" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("site", "origin", "allowed"),
    [
        (None, None, True),
        ("none", None, True),
        ("same-origin", "http://127.0.0.1:8788", True),
        (None, "HTTP://127.0.0.1:8788", True),
        ("same-site", "http://127.0.0.1:8788", False),
        ("cross-site", None, False),
        (None, "http://evil.example", False),
        (None, "http://127.0.0.1:9999", False),
        (None, "null", False),
        (None, "http://[", False),
        ("", None, False),
    ],
)
def test_only_our_own_pages_and_programs_change_something(
    site: str | None, origin: str | None, allowed: bool
) -> None:
    assert (origin_problem(site, origin, "127.0.0.1:8788") is None) is allowed


def test_a_foreign_page_is_refused_and_audited(start: Start) -> None:
    service = start()
    where = f"{admin(service)}/tree/registry:restart"
    assert change(where, origin="http://evil.example")[0] == 403
    assert change(where, sec_fetch_site="cross-site")[0] == 403
    assert service.tree.address("registry").epoch == 1
    assert [each["text"][-13:] for each in events(service, "admin")] == ["refused (403)"] * 2


def test_a_change_by_get_and_one_of_plain_text_are_refused_and_audited(start: Start) -> None:
    service = start()
    where = f"{admin(service)}/tree/registry:restart"
    assert read(where)[0] == 405
    assert change(where, content_type="text/plain")[0] == 415
    assert [each["text"][-13:] for each in events(service, "admin")] == [
        "refused (405)",
        "refused (415)",
    ]


def test_a_change_for_another_host_is_refused_and_audited(start: Start) -> None:
    service = start()
    assert change(f"{admin(service)}/tree/registry:restart", host="evil.example:8788")[0] == 421
    assert [each["text"][-13:] for each in events(service, "admin")] == ["refused (421)"]


def test_the_public_api_is_served_to_pages_of_the_console_alone(start: Start) -> None:
    service = start()
    assert service.admin is not None
    body = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}
    url = f"{service.admin.url}/v1/chat/completions"
    assert change(url, body, origin=service.admin.url, sec_fetch_site="same-origin")[0] == 200
    assert change(url, body, origin="http://evil.example")[0] == 403
    assert read(f"{service.admin.url}/v1/models")[0] == 200


def test_a_playground_streams(start: Start) -> None:
    service = start()
    assert service.admin is not None
    body = b'{"model": "echo", "stream": true, "messages": [{"role": "user", "content": "hi"}]}'
    request = urllib.request.Request(
        f"{service.admin.url}/v1/chat/completions", body, {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.read().endswith(b"data: [DONE]\n\n")


def test_a_body_that_is_too_long_or_no_object_is_refused(start: Start) -> None:
    where = f"{admin(start())}/log-level"
    assert change(where, ["level"])[0] == 400
    assert change(where, {"level": "x" * 100_000})[0] == 413
    request = urllib.request.Request(where, b"{", {"content-type": "application/json"})
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    refused.value.close()
    assert refused.value.code == 400
