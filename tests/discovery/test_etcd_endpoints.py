"""etcd's addresses: every accepted spelling, and what is said about the others."""

from __future__ import annotations

import pytest

from discovery.etcd.access import Endpoint, Endpoints


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("host", [Endpoint("host", 2379)]),
        ("host:1", [Endpoint("host", 1)]),
        ("http://host:1", [Endpoint("host", 1)]),
        ("http://host:1/", [Endpoint("host", 1)]),
        ("HTTPS://Host:1", [Endpoint("host", 1, secure=True)]),
        ("https://host", [Endpoint("host", 2379, secure=True)]),
        ("[::1]:5", [Endpoint("::1", 5)]),
        ("http://10.0.0.1:1,10.0.0.2:2", [Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2)]),
        (" a:1 , b:2 ,", [Endpoint("a", 1), Endpoint("b", 2)]),
        (["a:1", "b:2,c:3"], [Endpoint("a", 1), Endpoint("b", 2), Endpoint("c", 3)]),
        (("http://a:1",), [Endpoint("a", 1)]),
    ],
)
def test_endpoints_are_read(text: str | list[str], members: list[Endpoint]) -> None:
    assert list(Endpoints.parse(text).members) == members


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "give at least one"),
        (" , ", "give at least one"),
        ("ftp://h:1", "'ftp://h:1' is not an etcd endpoint: its scheme"),
        ("http://", "give HOST:PORT"),
        (":2379", "give HOST:PORT"),
        ("h:1/path", "give HOST:PORT"),
        ("h:1?x=1", "give HOST:PORT"),
        ("h:port", "'h:port' is not an etcd endpoint"),
        ("h:99999", "'h:99999' is not an etcd endpoint"),
        ("h:0", "port 0"),
        ("h h:1", "holds blanks"),
        ("http://a:1,https://b:2", "mix http and https"),
    ],
)
def test_what_is_no_endpoint_is_named(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("?", r"\?")):
        Endpoints.parse(text)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValueError, match="password") as raised:
        Endpoints.parse("http://user:secret@h:1")
    assert "secret" not in str(raised.value)


def test_each_attempt_goes_to_the_next_member() -> None:
    endpoints = Endpoints.parse("a:1,b:2,c:3")
    assert [endpoints.turn(attempt).host for attempt in range(5)] == ["a", "b", "c", "a", "b"]


@pytest.mark.parametrize("text", ["http://a:1", "https://[::1]:5", "http://a:1,http://b:2"])
def test_endpoints_print_as_they_can_be_read_again(text: str) -> None:
    assert str(Endpoints.parse(text)) == text
    assert Endpoints.parse(str(Endpoints.parse(text))) == Endpoints.parse(text)


def test_an_ipv6_target_keeps_its_brackets() -> None:
    assert Endpoint("::1", 5).target == "[::1]:5"
    assert Endpoint("h", 5).target == "h:5"
