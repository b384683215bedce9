"""Stock Waitress' verdict or a stricter one, and the same reading of what both accept."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from waitress.parser import HTTPRequestParser

from http_service.server import request_head
from http_service.server.parser import Parser
from tests.http_service.server.fuzz.compare import difference, run
from tests.http_service.server.fuzz.inputs import FIELDS, LINES, Case, make_case
from tests.http_service.server.fuzz.served import served, served_differs

CASES = 3000
SEED = 20_260
POISONS = b"\x00\t\n\r :,_-aZ1\x7f\xe9"
TABLES: list[dict[bytes, Any]] = [
    request_head.remembered_lines,
    request_head.remembered_fields,
    request_head.remembered_names,
]


def test_ours_differs_from_stock_only_by_being_stricter() -> None:
    for number in range(CASES):
        case = make_case(Random(SEED + number))
        assert difference(case) is None, (number, case.data, case.cuts)


def test_a_head_that_was_read_before_is_read_the_same() -> None:
    """Each head twice, and then with one byte changed: memory must not lend it a reading."""
    for number in range(CASES):
        random = Random(SEED + number)
        case = make_case(random)
        again = [*case.reads]
        assert run(Parser, again) == run(Parser, again), (number, case.data)
        spot = random.randrange(len(case.data))
        poison = bytes((random.choice(POISONS),))
        poisoned = case.data[:spot] + poison + case.data[spot + 1 :]
        found = difference(Case(poisoned, case.cuts))
        assert found is None, (number, poisoned, case.cuts)
        for table in TABLES:
            table.clear()
        fresh = run(Parser, Case(poisoned, case.cuts).reads)
        run(Parser, again)
        assert run(Parser, Case(poisoned, case.cuts).reads) == fresh, (number, poisoned)


def test_a_channel_serves_what_the_parser_reads() -> None:
    at_once = 0
    for number in range(CASES):
        case = make_case(Random(SEED + number))
        assert served_differs(case) is None, (number, case.data, case.cuts)
        at_once += served(case.reads).at_once
    assert at_once > CASES // 20


def test_the_cases_reach_every_verdict() -> None:
    seen: Counter[int | None] = Counter()
    stricter = 0
    for number in range(CASES):
        case = make_case(Random(SEED + number))
        verdict = run(Parser, case.reads).refused
        seen[verdict] += 1
        stricter += verdict is not None and run(HTTPRequestParser, case.reads).refused is None

    assert {None, 400, 413, 501, 505} <= set(seen)
    assert seen[None] > CASES // 10
    assert stricter > CASES // 20


@settings(max_examples=300)
@given(
    st.sampled_from(LINES),
    st.lists(st.sampled_from(FIELDS), max_size=5),
    st.binary(max_size=40),
    st.lists(st.integers(1, 200), max_size=4),
)
def test_hypothesis_finds_no_difference_either(
    line: bytes, fields: list[bytes], body: bytes, cuts: list[int]
) -> None:
    data = b"\r\n".join((line, *fields)) + b"\r\n\r\n" + body
    case = Case(data, sorted(cut for cut in cuts if cut < len(data)))

    assert difference(case) is None
    assert served_differs(case) is None


class _Mutant(Parser):
    """Ours, about to get one defect each."""


class LosesAHeader(_Mutant):
    def _read_head(self, seen: bytes, end: int) -> int:
        taken = super()._read_head(seen, end)
        self.headers.pop("HTTP_ACCEPT", None)
        return taken


class TakesTooMuch(_Mutant):
    def received(self, data: bytes) -> int:
        return len(data) if super().received(data) else 0


class IsLenient(_Mutant):
    def received(self, data: bytes) -> int:
        taken = super().received(data)
        if self.error is not None and self.error.code == 501:
            self.error = None
        return taken


class ForgetsTheBody(_Mutant):
    def get_body_stream(self) -> Any:
        stream = super().get_body_stream()
        stream.read(1)
        return stream


class SplitsWrongly(_Mutant):
    def received(self, data: bytes) -> int:
        if self.header_plus.endswith(b"\r"):
            self.header_plus = self.header_plus[:-1]
        return super().received(data)


@pytest.mark.parametrize(
    "mutant", [LosesAHeader, TakesTooMuch, IsLenient, ForgetsTheBody, SplitsWrongly]
)
def test_a_parser_with_a_defect_is_caught(mutant: type[Parser]) -> None:
    assert any(difference(make_case(Random(SEED + number)), mutant) for number in range(CASES))


@pytest.mark.parametrize("mutant", [LosesAHeader, IsLenient, ForgetsTheBody, SplitsWrongly])
def test_a_channel_with_a_defect_is_caught(mutant: type[Parser]) -> None:
    def is_caught(number: int) -> bool:
        try:
            return served_differs(make_case(Random(SEED + number)), mutant) is not None
        except AssertionError:  # the body as a file is not the body
            return True

    assert any(is_caught(number) for number in range(CASES))
