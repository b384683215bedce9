"""A hosted model answers what llama.cpp's own server answers, field by field."""

from __future__ import annotations

import pytest

from tests.faults.long.hosted_model import CASES, compare


@pytest.mark.model
def test_each_field_is_that_of_llamas_own_answer() -> None:
    rows = compare()
    assert {row.case for row in rows} == {*CASES}
    assert [row for row in rows if not row.equal and not row.why] == []
