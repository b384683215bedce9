"""The strict reading of a head: each rule with its status, and what is accepted all the same."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.api.api_keys import RELAYED
from http_service.server import request_head
from http_service.server.request_head import (
    CHUNKED,
    FIELD_COUNT_LIMIT,
    ParseError,
    body_length,
    read_fields,
    read_line,
)


def fields_of(*lines: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    read_fields([*lines], found)
    return found


def status_of(line: bytes) -> int:
    with pytest.raises(ParseError) as caught:
        read_line(line)
    return caught.value.code


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"GET",
        b"GET /",
        b"GET / HTTP/1.1 ",
        b" GET / HTTP/1.1",
        b"GET  / HTTP/1.1",
        b"GET / http/1.1",
        b"get / HTTP/1.1",
        b"Get / HTTP/1.1",
        b"GET / HTTP/11",
        b"GET / HTTP/1.10",
        b"GET /a b HTTP/1.1",
        b"GET /\x00 HTTP/1.1",
        b"GET /\x7f HTTP/1.1",
        b"GET /\r HTTP/1.1",
        b"GET /\n HTTP/1.1",
        b"GET /\xc3\xa9 HTTP/1.1",
        b"GET http://[x/ HTTP/1.1",
        b"G(T / HTTP/1.1",
        b"GET x/live HTTP/1.1",
        b"GET live HTTP/1.1",
        b"GET ?/live HTTP/1.1",
        b"GET javascript:live HTTP/1.1",
        b"GET ftp://host/live HTTP/1.1",
        b"GET http:///live HTTP/1.1",
        b"CONNECT live HTTP/1.1",
        b"CONNECT host:443 HTTP/1.1",
    ],
)
def test_a_malformed_request_line_is_a_400(line: bytes) -> None:
    assert status_of(line) == 400


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0", b"9.9"])
def test_another_version_of_http_is_a_505(version: bytes) -> None:
    assert status_of(b"GET / HTTP/" + version) == 505


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", ""),
        ("/v1/models?a=b?c", "/v1/models", "a=b?c"),
        ("/a%20b", "/a b", ""),
        ("/%C3%A9", "/Ã©", ""),
        ("//host/x", "//host/x", ""),
        ("/a;b#f?g", "/a;b", ""),
        ("http://host:80/x?y", "/x", "y"),
        ("*", "*", ""),
    ],
)
def test_a_target_is_taken_apart(target: str, path: str, query: str) -> None:
    line = read_line(f"OPTIONS {target} HTTP/1.1".encode())

    assert (line.path, line.query, line.target) == (path, query, target)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"X",
        b": y",
        b"X : y",
        b" X: y",
        b"\tX: y",
        b"X: a\x00b",
        b"X: a\rb",
        b"X: a\nb",
        b"X: a\x0bb",
        b"X: a\x7fb",
        b"X\xe9: y",
        b"X(: y",
    ],
)
def test_a_malformed_or_folded_field_is_a_400(line: bytes) -> None:
    with pytest.raises(ParseError) as caught:
        fields_of(line)
    assert caught.value.code == 400


@pytest.mark.parametrize("name", ["Host", "Authorization", "Content-Type", "Content-Length"])
def test_a_second_of_a_field_that_must_be_one_is_a_400(name: str) -> None:
    for second in (name, name.lower(), name.upper()):
        with pytest.raises(ParseError, match=f"more than one {name} header") as caught:
            fields_of(f"{name}: 1".encode(), b"A: b", f"{second}: 1".encode())
        assert caught.value.code == 400


def test_other_repeated_fields_are_joined_in_their_order() -> None:
    assert fields_of(b"Accept: a", b"X: y", b"accept:b") == {"HTTP_ACCEPT": "a, b", "HTTP_X": "y"}


def test_a_name_with_an_underscore_is_left_out() -> None:
    assert fields_of(b"Content_Length: 5", b"X_Y: z", b"X-Y: a", b"_: b") == {"HTTP_X_Y": "a"}


def test_blanks_around_a_value_go_and_those_inside_stay() -> None:
    assert fields_of(b"X: \t a \t b\t ", b"Y:", b"Z:\xe9") == {
        "HTTP_X": "a \t b",
        "HTTP_Y": "",
        "HTTP_Z": "é",
    }


def test_too_many_fields_are_a_431() -> None:
    lines = [b"X: y"] * FIELD_COUNT_LIMIT
    fields_of(*lines)
    with pytest.raises(ParseError) as caught:
        fields_of(*lines, b"X: y")
    assert caught.value.code == 431


def test_what_was_read_before_a_bad_field_is_there_for_the_log() -> None:
    found: dict[str, str] = {}
    with pytest.raises(ParseError):
        read_fields([b"X-Request-Id: 7", b"bad"], found)
    assert found == {"HTTP_X_REQUEST_ID": "7"}


FRAMING: list[tuple[str, dict[str, str], int]] = [
    ("1.1", {"HTTP_HOST": "x"}, 0),
    ("1.1", {"HTTP_HOST": ""}, 0),
    ("1.0", {}, 0),
    ("1.1", {"HTTP_HOST": "[::1]:80", "CONTENT_LENGTH": "007"}, 7),
    ("1.0", {"CONTENT_LENGTH": "3"}, 3),
    ("1.1", {"HTTP_HOST": "x", "CONTENT_LENGTH": "9" * 5000}, 10**18),
    ("1.1", {"HTTP_HOST": "x", "HTTP_TRANSFER_ENCODING": "chunked"}, CHUNKED),
    ("1.1", {"HTTP_HOST": "x", "HTTP_TRANSFER_ENCODING": "Chunked"}, CHUNKED),
]


@pytest.mark.parametrize(("version", "fields", "length"), FRAMING)
def test_the_length_of_a_body_is_told(version: str, fields: dict[str, str], length: int) -> None:
    assert body_length(version, fields) == length


BAD_FRAMING: list[tuple[str, dict[str, str], int]] = [
    ("1.1", {}, 400),
    ("1.1", {"HTTP_HOST": "a b"}, 400),
    ("1.1", {"HTTP_HOST": "a, b"}, 400),
    ("1.1", {"HTTP_HOST": "a/b"}, 400),
    ("1.1", {"HTTP_HOST": "user@a"}, 400),
    ("1.0", {"HTTP_HOST": "a\\b"}, 400),
    ("1.1", {"HTTP_HOST": "x", "CONTENT_LENGTH": ""}, 400),
    ("1.1", {"HTTP_HOST": "x", "CONTENT_LENGTH": "+4"}, 400),
    ("1.1", {"HTTP_HOST": "x", "CONTENT_LENGTH": "-1"}, 400),
    ("1.1", {"HTTP_HOST": "x", "CONTENT_LENGTH": "0x2"}, 400),
    ("1.1", {"HTTP_HOST": "x", "CONTENT_LENGTH": "4, 4"}, 400),
    ("1.1", {"HTTP_HOST": "x", "CONTENT_LENGTH": "²"}, 400),
    ("1.1", {"HTTP_HOST": "x", "CONTENT_LENGTH": "4", "HTTP_TRANSFER_ENCODING": "chunked"}, 400),
    ("1.1", {"HTTP_HOST": "x", "CONTENT_LENGTH": "4", "HTTP_TRANSFER_ENCODING": "gzip"}, 400),
    ("1.0", {"HTTP_TRANSFER_ENCODING": "chunked"}, 400),
    ("1.1", {"HTTP_HOST": "x", "HTTP_TRANSFER_ENCODING": ""}, 400),
    ("1.1", {"HTTP_HOST": "x", "HTTP_TRANSFER_ENCODING": "chunked, chunked"}, 400),
    ("1.1", {"HTTP_HOST": "x", "HTTP_TRANSFER_ENCODING": "chunked,"}, 400),
    ("1.1", {"HTTP_HOST": "x", "HTTP_TRANSFER_ENCODING": "gzip, chunked"}, 501),
    ("1.1", {"HTTP_HOST": "x", "HTTP_TRANSFER_ENCODING": "identity"}, 501),
    ("1.1", {"HTTP_HOST": "x", "HTTP_TRANSFER_ENCODING": "chunked;q=1"}, 501),
    ("1.1", {"HTTP_HOST": "x", "HTTP_TRANSFER_ENCODING": "chunked\x85"}, 501),
]


@pytest.mark.parametrize(("version", "fields", "status"), BAD_FRAMING)
def test_doubtful_framing_is_refused(version: str, fields: dict[str, str], status: int) -> None:
    with pytest.raises(ParseError) as caught:
        body_length(version, fields)
    assert caught.value.code == status


def test_credentials_and_queries_are_never_remembered() -> None:
    fields_of(b"Authorization: Bearer remembered?", b"Cookie: remembered?", b"X-Own: remembered?")
    read_line(b"GET /?key=remembered? HTTP/1.1")

    assert not [
        line
        for line in (
            *request_head.remembered_fields,
            *request_head.remembered_lines,
            *request_head.remembered_names,
        )
        if b"remembered?" in line
    ]


def test_strangers_cannot_grow_what_is_remembered() -> None:
    for number in range(3 * request_head.REMEMBER_COUNT):
        fields_of(b"User-Agent: bot %d" % number)
        fields_of(b"X-%d: y" % number)
        read_line(b"GET /%d HTTP/1.1" % number)

    assert len(request_head.remembered_fields) <= request_head.REMEMBER_COUNT
    assert len(request_head.remembered_names) <= request_head.REMEMBER_COUNT
    assert len(request_head.remembered_lines) <= request_head.REMEMBER_COUNT
    assert fields_of(b"User-Agent: bot 9999") == {"HTTP_USER_AGENT": "bot 9999"}


LINES = [
    b"Host: h", b"Accept: a", b"accept: b", b"ACCEPT:b", b"Content-Type: a/b", b"User-Agent: u",
    b"Connection: close", b"Content-Length: 3", b"content-length: 4", b"Authorization: Bearer k",
    b"X-Forwarded-For: 1", b"Forwarded: for=2", b"X_Forwarded_For: 3", b"Content_Length: 5",
    b"X-Own: 1", b"x-own:2", b" folded", b"X : 1", b"X: \x00", b"Transfer-Encoding: chunked",
]  # fmt: skip


def line_by_line(lines: list[bytes]) -> dict[str, str] | str:
    """What is read of ``lines``, or why they are refused, with nothing looked up."""
    found: dict[str, str] = {}
    try:
        request_head._read_each(lines, found)  # pyright: ignore[reportPrivateUsage]  # the reference
    except ParseError as bad:
        return f"{bad.code} {bad}"
    return found


@given(st.lists(st.sampled_from(LINES), max_size=8))
def test_what_is_looked_up_is_what_a_reading_line_by_line_finds(lines: list[bytes]) -> None:
    for _ in range(2):
        try:
            found: dict[str, str] | str = fields_of(*lines)
        except ParseError as bad:
            found = f"{bad.code} {bad}"
        assert found == line_by_line(lines)


def test_that_a_proxy_spoke_is_kept_and_what_it_said_is_not() -> None:
    said = fields_of(b"X-Forwarded-For: 1.2.3.4", b"Host: h", b"Forwarded: for=1.2.3.4")

    assert said == {RELAYED: "1", "HTTP_HOST": "h"}


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(line: bytes) -> None:
    for read in (read_line, fields_of):
        with contextlib.suppress(ParseError):
            read(line)


@given(st.binary(max_size=30))
def test_the_second_reading_is_the_first(value: bytes) -> None:
    line = b"Accept:" + value
    try:
        first = fields_of(line)
    except ParseError:
        return
    assert fields_of(line) == first
