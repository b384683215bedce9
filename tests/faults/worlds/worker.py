"""A worker that stands for a model server: answers with the question, as real ones would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.slow_upstream import Handler, SlowUpstream

__all__ = ["Worker"]


class _Handler(Handler):
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:  # noqa: N802  # the base class names it
        """Anything that is probed for is there."""
        self.whole({"object": "list", "data": []})


class Worker(SlowUpstream):
    """An OpenAI-compatible echo server on loopback; a context manager."""

    handler = _Handler

    def __init__(self) -> None:
        super().__init__()
        self.answered = 0

    def words_of(self, body: Mapping[str, Any]) -> Sequence[str]:
        """The last message, word by word."""
        self.answered += 1
        first, *others = body["messages"][-1]["content"].split(" ")
        return [first, *(f" {word}" for word in others)]
