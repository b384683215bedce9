"""The log of requests: what one leaves, where its time went, and that nothing grows."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from actors.engines.pool.tries import Try
from http_service.admin.history import RequestQuery, page_of
from http_service.admin.request_log import (
    ARRIVALS,
    SIZE,
    Requests,
    detail_of,
    first_tokens,
    row_of,
)
from http_service.streaming.exchange import InflightRequests
from http_service.telemetry.ended_requests import EndedRequest
from http_service.telemetry.metrics import Metrics

GOOD = EndedRequest(
    1, "r-1", 200, 10.0, 10.5, 2.0, 10.75, "m", "chat", "chat_completions", "stream", None, 7, 1.0,
    "i", None, None, 3,
)  # fmt: skip


def ended(**fields: Any) -> EndedRequest:
    return GOOD._replace(**fields)


def test_a_row_counts_from_when_the_request_was_taken_up() -> None:
    row = row_of(GOOD, wall=1000.0)
    assert (row.at, row.duration, row.first_token) == (1010.0, 2.5, 1.5)
    assert (row.stream, row.outcome, row.attempts) == (True, "success", 1)
    assert (row.input_tokens, row.output_tokens) == (3, 7)


def test_phases_follow_one_another_to_the_end() -> None:
    phases = [(each.name, each.start, each.end) for each in detail_of(GOOD, 0.0).phases]
    assert phases == [
        ("parse", 0.0, 0.5),
        ("queue", 0.5, 0.75),
        ("instance", 0.75, 1.5),
        ("tokens", 1.5, 2.5),
    ]


def test_a_refused_request_has_no_instance_and_no_tries() -> None:
    refused = ended(status=404, asked=None, instance=None, first_token=None, error_type="not_found")
    detail = detail_of(refused, 0.0)
    assert (detail.attempts, detail.instance, detail.tries) == (0, None, [])
    assert [each.name for each in detail.phases] == ["parse", "instance"]


def test_each_try_is_told_with_its_end_and_why() -> None:
    first, second = Try("a", 10.75), Try("b", 11.0)
    first.ended, first.error = 11.0, "connect"
    second.answered = 11.5
    detail = detail_of(ended(tries=[first, second], instance="a"), 0.0)
    assert (detail.instance, detail.attempts) == ("b", 2)
    assert [(each.instance, each.start, each.first_token, each.end, each.error)
            for each in detail.tries] == [
        ("a", 0.75, None, 1.0, "connect"),
        ("b", 1.0, 1.5, 2.5, None),
    ]  # fmt: skip


def test_tokens_are_told_where_they_were_kept() -> None:
    assert detail_of(ended(arrivals=array("f", [1.0, 1.25])), 0.0).tokens == [1.5, 1.75]
    assert detail_of(GOOD, 0.0).tokens is None


def test_the_median_of_the_last_minute_is_an_instances_first_token() -> None:
    kept = [
        ended(sequence=number, counted=at, first_token=first, instance=instance)
        for number, (at, first, instance) in enumerate(
            [
                (0.0, 9.0, "i"),
                (70.0, 1.0, "i"),
                (71.0, 2.0, "i"),
                (72.0, 3.0, "i"),
                (73.0, 5.0, "j"),
            ]
        )
    ]
    assert first_tokens(kept, 120.0) == {("chat", "m", "i"): 2.0, ("chat", "m", "j"): 5.0}


def test_a_first_token_is_that_of_the_instance_that_answered() -> None:
    failed, answered = Try("a", 10.75), Try("b", 11.0)
    failed.ended, failed.error = 11.0, "connect"
    answered.answered = 11.5
    kept = [ended(instance="a", tries=[failed, answered])]
    assert {key[2] for key in first_tokens(kept, 12.0)} == {"b"}


@pytest.fixture
def inflight() -> InflightRequests:
    return InflightRequests()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def requests(inflight: InflightRequests, metrics: Metrics) -> Requests:
    return Requests(inflight, metrics)


def test_requests_are_noted_only_while_the_log_lives(
    requests: Requests, inflight: InflightRequests
) -> None:
    assert inflight.note_ended is None
    requests.begin()
    assert inflight.note_ended is not None
    requests.end()
    assert inflight.note_ended is None


def test_one_in_sixty_four_is_looked_at_and_all_while_somebody_watches(
    requests: Requests, metrics: Metrics
) -> None:
    requests.begin()
    assert [next(metrics.watched) for _ in range(128)].count(True) == 2
    requests.watch(on=True)
    assert {next(metrics.watched) for _ in range(128)} == {True}
    requests.end()
    assert {next(metrics.watched) for _ in range(128)} == {False}


def test_the_oldest_arrivals_make_room(requests: Requests) -> None:
    for number in range(300):
        requests.ring.inbox.append(ended(id=str(number), arrivals=array("f", [1.0] * 1000))[1:])
        requests.take()
    kept = [len(each.arrivals or ()) for each in requests.ring.all()]
    assert (len(kept), sum(kept)) == (300, ARRIVALS)
    assert (kept[0], kept[-1]) == (0, 1000)


def test_two_thousand_requests_are_kept(requests: Requests) -> None:
    requests.ring.inbox.extend(ended(id=str(number))[1:] for number in range(3 * SIZE))
    requests.take()
    assert len(requests.ring.all()) == SIZE
    assert requests.find("0") is None
    found = requests.find(str(3 * SIZE - 1))
    assert found is not None
    assert found.sequence == SIZE


KEPT = [
    ended(sequence=1, id="a", status=200, model="Llama"),
    ended(sequence=2, id="b", status=503, error_type="unavailable"),
    ended(sequence=3, id="c", status=404, instance=None),
    ended(sequence=4, id="d", status=504, instance="worker-9"),
]


@pytest.mark.parametrize(
    ("query", "expected", "next_"),
    [
        (RequestQuery(), "abcd", 4),
        (RequestQuery(limit=2), "cd", 4),
        (RequestQuery(after=1, limit=2), "bc", 3),
        (RequestQuery(after=4), "", 4),
        (RequestQuery(after=99), "abcd", 4),
        (RequestQuery(status="5xx"), "bd", 4),
        (RequestQuery(status="404"), "c", 4),
        (RequestQuery(q="llama"), "a", 4),
        (RequestQuery(q="WORKER"), "d", 4),
        (RequestQuery(q="unavail"), "b", 4),
        (RequestQuery(after=1, limit=1, status="5xx"), "b", 2),
        (RequestQuery(q="no such"), "", 4),
    ],
)
def test_a_query_finds_what_fits(query: RequestQuery, expected: str, next_: int) -> None:
    found, following = page_of(KEPT, query)
    assert ("".join(each.id for each in found), following) == (expected, next_)


def test_an_empty_log_has_nothing() -> None:
    assert page_of([], RequestQuery(after=3)) == ([], 0)
