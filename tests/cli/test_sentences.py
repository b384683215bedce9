"""Options, variables, defaults and sentences that users know stay as they are."""

from __future__ import annotations

from tests.cli.sentences import RECORD, lines


def test_every_recorded_option_and_sentence_is_still_the_same() -> None:
    gone = {*RECORD.read_text().splitlines()} - {*lines()}
    assert gone == set(), "run: python -m tests.cli.sentences, if that is meant"
