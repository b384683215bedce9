"""The pictures show the files that a request and an entry really visit."""

from __future__ import annotations

import pytest

from tests.bench.test_way import ORDER
from tests.docs.blocks import ROOT
from tests.docs.pictures import IMAGES, PICTURES, REQUEST, Picture, svg


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_drawn_from_its_table_and_its_files_exist(picture: Picture) -> None:
    drawn = (IMAGES / f"{picture.name}.svg").read_text()
    assert drawn == svg(picture), "run: make docs"
    assert [step.path for step in picture.steps if not (ROOT / step.path).exists()] == []


def test_the_requests_picture_shows_the_way_that_the_bench_has_seen() -> None:
    assert tuple(step.path for step in REQUEST.steps) == ORDER
