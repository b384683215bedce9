"""Who gets a connection, and what is told to those who don't."""

from __future__ import annotations

import socket
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_service.server.limits import (
    ConnectionCap,
    connection_cap,
    network_of,
    reject,
    waitress_settings,
)
from tests.http_service.conftest import LOCAL
from tests.http_service.serving import RawClient

A, B = "10.0.0.1", "10.0.0.2"


def test_the_cap_lets_in_so_many_and_more_once_one_has_left() -> None:
    cap = ConnectionCap(2)

    assert [cap.admit(A), cap.admit(A), cap.admit(B)] == [True, True, False]
    cap.release(A)
    assert cap.admit(B)
    assert (cap.open, cap.refused) == (2, 1)


def test_one_address_cannot_take_the_place_of_all() -> None:
    cap = ConnectionCap(10, per_address=2)

    assert [cap.admit(A) for _ in range(4)] == [True, True, False, False]
    assert cap.admit(B)
    cap.release(A)
    assert cap.admit(A)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("not:an:address", "not:an:address"),
        ("", ""),
    ],
)
def test_what_counts_as_one_client(address: str, network: str) -> None:
    assert network_of(address) == network


def test_the_addresses_of_one_ipv6_network_count_as_one() -> None:
    cap = ConnectionCap(10, per_address=1)

    assert cap.admit("2001:db8::1")
    assert not cap.admit("2001:db8::2")
    cap.release("2001:db8::1")
    assert cap.admit("2001:db8::2")


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([A, B, "::1", "::2"])), max_size=60))
def test_nothing_is_left_when_all_have_left(moves: list[tuple[bool, str]]) -> None:
    cap = ConnectionCap(5, per_address=2)
    inside: Counter[str] = Counter()
    for comes, address in moves:
        if comes:
            inside[address] += cap.admit(address)
        elif inside[address]:
            inside[address] -= 1
            cap.release(address)
        assert cap.open == inside.total() <= 5
    for address in inside.elements():
        cap.release(address)

    assert cap.open == 0
    assert vars(cap)["_counts"] == {}


def test_who_is_turned_away_is_told_when_to_come_again() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        RawClient(listening.getsockname()[:2]) as raw,
    ):
        reject(listening.accept()[0])
        answer = raw.read_answer()
        assert raw.read_to_end() == b""

    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["connection"] == "close"
    assert answer.error["code"] == "service_unavailable"


def test_turning_away_who_has_left_already_is_quiet() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    reject(ours)

    assert ours.fileno() == -1
    reject(ours)


def test_our_cap_is_met_before_waitress_stops_accepting() -> None:
    config = replace(LOCAL, connection_limit=7, connections_per_address=3)
    cap = connection_cap(config)

    assert [cap.admit(str(number)) for number in range(8)] == [True] * 7 + [False]
    # Waitress counts the listener and its trigger, too.
    assert waitress_settings(config)["connection_limit"] > 7 + 2
