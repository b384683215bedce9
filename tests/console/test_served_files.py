"""The console's files as they are served: to anyone, and under a strict policy."""

from __future__ import annotations

import gzip
import json
import re
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from email.message import Message
from hashlib import sha256
from pathlib import Path

import pytest

from http_service.admin.console import FOLDER, console_files, content_security_policy
from tests.console.vendoring import AXE, FILES, VENDOR
from tests.console.world import World

BUDGET = 100_000
"""Bytes of the whole console, compressed."""

KEY = "the-key-of-an-operator"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A front-end that has a file of operators' keys."""
    folder = tmp_path_factory.mktemp("locked")
    keys = folder / "keys"
    keys.write_text(f"{KEY}\n")
    announced = folder / "announced"
    announced.mkdir()
    with World(announced, operator_key_file=str(keys)) as running:
        yield running


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[int, Message, bytes]:
    request = urllib.request.Request(url, method=method)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_the_page_needs_no_key_and_its_data_does(locked: World) -> None:
    status, _, page = fetch(f"{locked.console}/")
    assert (status, b"<title>Callboard</title>" in page) == (200, True)
    assert fetch(f"{locked.console}/console/app.js")[0] == 200
    assert fetch(f"{locked.console}/admin/v1/overview")[0] == 401
    assert fetch(f"{locked.console}/admin/v1/overview", authorization=f"Bearer {KEY}")[0] == 200


def test_every_file_is_served_as_it_is_with_its_type_and_our_policy(world: World) -> None:
    policy = content_security_policy((FOLDER / "index.html").read_bytes())
    for path in console_files():
        status, headers, body = fetch(world.console + path)
        name = path.removeprefix("/console").lstrip("/") or "index.html"
        assert (status, body) == (200, (FOLDER / name).read_bytes())
        assert headers["content-security-policy"] == policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert "set-cookie" not in headers
        assert ("immutable" in headers["cache-control"]) is path.startswith("/console/vendor/")


def test_a_file_is_compressed_for_who_takes_that_and_not_sent_again(world: World) -> None:
    path = f"{world.console}/console/app.css"
    status, headers, packed = fetch(path, accept_encoding="br, gzip")
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert gzip.decompress(packed) == fetch(path)[2]
    assert headers["etag"] != fetch(path)[1]["etag"]
    again = fetch(path, accept_encoding="br, gzip", if_none_match=headers["etag"])
    assert (again[0], again[2]) == (304, b"")
    assert fetch(path, if_none_match='"another"')[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/console/nope.js",
        "/console/vendor/MANIFEST",
        "/console/../pyproject.toml",
        "/console/%2e%2e/__init__.py",
        "/console/vendor",
        "/index.html",
    ],
)
def test_whatever_is_no_file_of_the_console_is_not_found(world: World, path: str) -> None:
    assert fetch(world.console + path)[0] == 404


def test_a_file_can_be_read_and_nothing_else(world: World) -> None:
    assert fetch(f"{world.console}/", "HEAD")[2] == b""
    assert fetch(f"{world.console}/", "POST")[0] == 405


def test_the_policy_lets_in_ours_the_import_map_and_nothing_more() -> None:
    index = (FOLDER / "index.html").read_bytes()
    policy = content_security_policy(index)
    (inline,) = re.findall(rb"<script type=\"importmap\">(.*?)</script>", index, re.DOTALL)
    digest = b64encode(sha256(inline).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert {"default-src 'none'", "trusted-types 'none'", "require-trusted-types-for 'script'"} <= {
        *policy.split("; ")
    }
    assert b"<style" not in index
    assert not re.search(rb"<[^>]+ (?:on\w+|style)=", index)
    with pytest.raises(ValueError, match="no import map"):
        content_security_policy(b"<html></html>")


def test_vendored_files_are_those_of_the_manifest() -> None:
    rows = [line.split() for line in (VENDOR / "MANIFEST").read_text().splitlines()]
    assert {row[0] for row in rows} | {"MANIFEST", "LICENSE.txt"} == {
        path.name for path in VENDOR.iterdir()
    }
    for name, package, version, licence, digest in rows:
        assert sha256((VENDOR / name).read_bytes()).hexdigest() == digest, f"make vendor: {name}"
        assert f"{package} {version}\n" in (VENDOR / "LICENSE.txt").read_text()
        assert licence in {"MIT", "Apache-2.0"}
    assert [(row[1], row[2]) for row in rows] == [(each.package, each.version) for each in FILES]


def test_the_page_names_vendored_files_that_are_there() -> None:
    index = (FOLDER / "index.html").read_text()
    found = re.search(r'<script type="importmap">(.*?)</script>', index, re.DOTALL)
    assert found is not None
    imports = json.loads(found[1])["imports"]
    assert set(imports) == {each.imported_as for each in FILES if each.imported_as}
    linked = re.findall(r'href="(/console/vendor/[^"]+)"', index)
    assert {*imports.values(), *linked} <= {*console_files()}
    assert len(linked) == 1


def test_the_whole_console_fits_into_its_budget() -> None:
    sizes = {
        path: len(gzip.compress(path.read_bytes()))
        for path in FOLDER.rglob("*")
        if path.is_file() and path.suffix not in {".txt", ""}
    }
    assert sum(sizes.values()) <= BUDGET, sorted(sizes.items(), key=lambda each: each[1])


def test_nothing_of_ours_makes_markup_from_text() -> None:
    ours = [*FOLDER.glob("*.js"), *FOLDER.glob("pages/*.js"), *FOLDER.glob("parts/*.js")]
    assert ours
    for path in ours:
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\b",
            path.read_text(),
        ), path


def test_axe_says_what_it_is() -> None:
    assert gzip.decompress(AXE.read_bytes()).startswith(b"/*! axe v4.")


def test_no_file_of_the_console_is_too_long() -> None:
    long = {
        path.name: lines
        for path in [*FOLDER.glob("*.js"), *FOLDER.glob("*/*.js")]
        if (lines := len(Path(path).read_text().splitlines())) > 400
    }
    assert long == {}
