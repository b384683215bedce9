"""The upstreams that fail as told do so: a show that breaks nothing would show nothing."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator

import pytest

from tests.bench.peers.script import Script, post
from tests.faults.long.upstreams import Upstreams


@pytest.fixture(scope="module")
def upstreams() -> Iterator[Upstreams]:
    with Upstreams(2) as servers:
        yield servers


def ask(upstreams: Upstreams, number: int, timeout: float = 10.0) -> tuple[int, bytes]:
    """Status and body of one unary request, straight to the upstream."""
    place = upstreams.urls[number].removeprefix("http://")
    connection = http.client.HTTPConnection(place, timeout=timeout)
    try:
        _, _, body = post(Script(2)).partition(b"\r\n\r\n")
        connection.request("POST", "/v1/chat/completions", body)
        with connection.getresponse() as response:
            return response.status, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_one_refuses_with_the_status_it_was_told_and_the_other_is_well(
    upstreams: Upstreams, status: int
) -> None:
    upstreams.be(0, str(status))
    assert ask(upstreams, 0)[0] == status
    assert ask(upstreams, 1)[0] == 200
    upstreams.be(0, "well")
    assert ask(upstreams, 0)[0] == 200


def test_a_reset_is_a_reset(upstreams: Upstreams) -> None:
    upstreams.be(0, "reset")
    with pytest.raises(ConnectionResetError):
        ask(upstreams, 0)


def test_a_hanging_one_says_nothing_and_counts_who_left_it(upstreams: Upstreams) -> None:
    upstreams.be(0, "hang")
    before = upstreams.abandoned()[0]
    with pytest.raises(TimeoutError):
        ask(upstreams, 0, timeout=0.2)
    assert upstreams.abandoned()[0] == before + 1


def test_a_slow_one_answers_whole_and_late(upstreams: Upstreams) -> None:
    upstreams.be(0, "slow", 0.2)
    begun = time.monotonic()
    status, body = ask(upstreams, 0)
    assert time.monotonic() - begun >= 0.2
    assert status == 200
    assert json.loads(body)["choices"][0]["finish_reason"] == "stop"
    upstreams.be(0, "well")


def test_requests_are_counted_by_instance(upstreams: Upstreams) -> None:
    before = upstreams.seen()
    for _ in range(3):
        ask(upstreams, 1)
    assert upstreams.seen() == [before[0], before[1] + 3]


def test_probes_are_answered_whatever_the_mode(upstreams: Upstreams) -> None:
    upstreams.be(0, "500")
    place = upstreams.urls[0].removeprefix("http://")
    connection = http.client.HTTPConnection(place, timeout=10)
    connection.request("GET", "/v1/models")
    with connection.getresponse() as response:
        assert response.status == 200
    connection.close()
    upstreams.be(0, "well")


def test_a_frozen_one_answers_nothing_until_it_goes_on() -> None:
    with Upstreams(1) as upstreams:
        upstreams.freeze()
        with pytest.raises(TimeoutError):
            ask(upstreams, 0, timeout=0.2)
        upstreams.thaw()
        assert ask(upstreams, 0)[0] == 200
