"""What is asked of an upstream: one head, and the client's own bytes wherever that is possible."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.engines import EngineRequest, Kind
from actors.engines.contract import with_model
from actors.engines.dialect import KeyHeader
from actors.engines.upstream.engine import whole_request
from actors.engines.upstream.request import (
    body_of,
    key_line,
    parse_url,
    probe_request,
    request_head,
)
from actors.engines.via import PSEUDONYM
from tests.engines.asking import chat

HOSTS = {
    "http://127.0.0.1:9/v1": "127.0.0.1:9",
    "http://example.com": "example.com",
    "http://example.com:443": "example.com:443",
    "https://example.com:443": "example.com",
    "http://[::1]:9": "[::1]:9",
    "http://bücher.example": "xn--bcher-kva.example",
}


@pytest.mark.parametrize(("url", "host"), HOSTS.items())
def test_the_host_is_named_as_the_standard_has_it(url: str, host: str) -> None:
    assert parse_url(url).authority == host


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://h/v1", "/v1/completions"),
        ("http://h/a%20b", "/a%20b/completions"),
        ("http://h/a b\u00fc", "/a%20b%C3%BC/completions"),
        ("http://h/v1?x=1&y=2", "/v1/completions?x=1&y=2"),
    ],
)
def test_a_path_is_quoted_once(url: str, place: str) -> None:
    head = request_head(parse_url(url), Kind.COMPLETIONS.path, None, stream=True)
    assert head.startswith(f"POST {place} HTTP/1.1\r\nhost: h\r\n".encode())


@pytest.mark.parametrize("key", ["", "a\r\nb: c", "a\nb", "\u00fc", "\x00"])
def test_a_key_that_is_no_header_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as refusal:
        key_line(key, "authorization")
    assert not key or key not in str(refusal.value)


@pytest.mark.parametrize(
    ("header", "line"),
    [("authorization", "authorization: Bearer k"), ("x-api-key", "x-api-key: k")],
)
def test_a_key_is_sent_where_the_server_reads_it(header: KeyHeader, line: str) -> None:
    key = key_line("k", header)
    target = parse_url("http://h")
    sent = request_head(target, Kind.CHAT.path, key, stream=True), probe_request(target, key)

    assert all(f"\r\n{line}\r\n".encode() in each for each in sent)
    assert key_line(None, header) is None


@given(st.text(max_size=20), st.binary(max_size=20))
def test_no_request_id_can_end_the_head_early(request_id: str, body: bytes) -> None:
    head = request_head(parse_url("http://h"), Kind.CHAT.path, "k", stream=False)
    said, _, rest = whole_request(head, request_id, body).partition(b"\r\n\r\n")
    assert rest == body
    assert said.startswith(head + b"%d" % len(body))
    assert said.count(b"\r\n") <= head.count(b"\r\n") + 1


def lines_of(request: bytes) -> list[bytes]:
    return request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]


def test_each_request_names_us_as_a_proxy_it_passed() -> None:
    head = request_head(parse_url("http://h"), Kind.CHAT.path, "k", stream=False)
    assert f"via: 1.1 {PSEUDONYM}".encode() in lines_of(whole_request(head, "r", b"{}"))


def test_the_clients_proxies_come_before_us_in_one_list() -> None:
    head = request_head(parse_url("http://h"), Kind.CHAT.path, "k", stream=False)
    said = lines_of(whole_request(head, "r", b"{}", (("via", "1.0 fred, 1.1 p.example"),)))
    vias = [line for line in said if line.startswith(b"via:")]
    assert vias == [f"via: 1.0 fred, 1.1 p.example, 1.1 {PSEUDONYM}".encode()]


@given(
    st.lists(st.tuples(st.sampled_from(["traceparent", "baggage", "via"]), st.text(max_size=20))),
    st.binary(max_size=20),
)
def test_no_header_of_the_client_can_end_the_head_early(
    headers: list[tuple[str, str]], body: bytes
) -> None:
    head = request_head(parse_url("http://h"), Kind.CHAT.path, "k", stream=False)
    said, _, rest = whole_request(head, "r", body, tuple(headers)).partition(b"\r\n\r\n")
    assert rest == body
    plain = whole_request(head, "r", body).partition(b"\r\n\r\n")[0]
    assert said.count(b"\r\n") <= plain.count(b"\r\n") + len(headers)
    assert said.isascii()
    assert b"content-length: %d" % len(body) in said.split(b"\r\n")


# The model's name

REWRITTEN: list[tuple[bytes, bytes | None]] = [
    (b'{"model":"m"}', b'{"model":"them"}'),
    (b'{ "model" :\n "m" , "x":1e1}', b'{ "model" :\n "them" , "x":1e1}'),
    (b'{"x":"say \\"model\\": no","model":"m"}', b'{"x":"say \\"model\\": no","model":"them"}'),
    (b'{"model":""}', b'{"model":"them"}'),
    (b'{"model":"a\\"b"}', None),  # an escape in the name
    (b'{"model":"m","y":{"model":"m"}}', None),  # which is meant?
    (b'{"model":"m","model":"n"}', None),
    (b'{"x":["model"],"model":"m"}', None),
    (b'{"\\u006dodel":"m","y":{"model":"m"}}', None),  # the real one is written in escapes
    (b'{"\\u006Dodel":"m","y":{"model":"m"}}', None),
    (b'{"mod\\u0065l":"m"}', None),
]


@pytest.mark.parametrize(("raw", "expected"), REWRITTEN)
def test_a_model_is_replaced_in_place_or_not_at_all(raw: bytes, expected: bytes | None) -> None:
    assert with_model(raw, "them") == expected


values = st.recursive(
    st.none()
    | st.integers(-99, 99)
    | st.text(max_size=8)
    | st.sampled_from(["model", '"model":', '":"m"']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4) | st.sampled_from(["model", '"model']), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(max_size=5), values), st.text(max_size=8), st.text(max_size=8))
def test_whatever_the_body_only_its_own_model_changes(
    fields: dict[str, Any], name: str, other: str
) -> None:
    body = {**fields, "model": name}
    request = EngineRequest(Kind.CHAT, name, True, body, orjson.dumps(body))
    assert orjson.loads(body_of(request, model=other, fold=False)) == {**body, "model": other}


def test_the_clients_bytes_are_the_very_same_object_where_nothing_changes() -> None:
    asked = chat()
    assert body_of(asked, model=None, fold=True) is asked.raw
    assert body_of(asked, model="m", fold=False) is asked.raw


def test_fold_and_an_alias_go_together() -> None:
    asked = chat(stream=False)
    assert orjson.loads(body_of(asked, model="them", fold=True)) == {
        **asked.body,
        "model": "them",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("given", [{}, {"prompt": None}])
def test_a_completion_without_a_prompt_gets_an_empty_one_where_the_server_wants_one(
    given: dict[str, Any], stream: bool
) -> None:
    body = {"model": "m", "stream": stream, **given}
    asked = EngineRequest(Kind.COMPLETIONS, "m", stream, body, orjson.dumps(body))

    sent = orjson.loads(body_of(asked, model=None, fold=True))

    assert (sent["prompt"], sent["stream"], sent["model"]) == ("", True, "m")
    assert body_of(asked, model=None, fold=False) is asked.raw
