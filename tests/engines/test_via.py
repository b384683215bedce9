"""A request that comes back to the service it passed is ended at once."""

from __future__ import annotations

import pytest

from actors.engines import EngineError
from actors.engines.pool.failures import classify
from actors.engines.refusals import error_of_answer
from actors.engines.via import LONGEST_VIA, LOOP, MOST_HOPS, PSEUDONYM, check_for_loop

OTHERS = "1.1 other.example"


@pytest.mark.parametrize(
    "via",
    [
        f"1.1 {PSEUDONYM}",
        f"1.1 {PSEUDONYM}, 1.1 callboard-0123",
        f"1.0 fred, HTTP/2.0 {PSEUDONYM} (comment),1.1 nginx",
        ", ".join([OTHERS] * (MOST_HOPS + 1)),
        "x" * (LONGEST_VIA + 1),
    ],
    ids=["itself", "two front-ends", "behind proxies", "too many hops", "too long"],
)
def test_a_request_that_goes_in_a_circle_is_refused_with_508(via: str) -> None:
    with pytest.raises(EngineError) as refusal:
        check_for_loop(via)
    assert (refusal.value.status, refusal.value.code) == (508, LOOP)
    assert PSEUDONYM not in refusal.value.message


@pytest.mark.parametrize("via", [None, "", OTHERS, "1.1 callboard-0123", ", ".join([OTHERS] * 16)])
def test_other_proxies_on_the_way_are_no_loop(via: str | None) -> None:
    check_for_loop(via)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"error":{"code":"loop_detected"}}'])
def test_an_upstreams_508_is_passed_on_and_neither_retried_nor_blamed(body: bytes) -> None:
    error = error_of_answer(508, {"content-type": "application/json"}, body)
    assert (error.status, error.code) == (508, LOOP)
    treatment = classify(error)
    assert (treatment.retry, treatment.penalty) == (False, 0)
