"""Asks an upstream whether it answers at all: ``GET …/models``, as every server has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from actors.engines.contract import Chunk
from actors.engines.upstream.call import Timeouts
from actors.engines.upstream.response import Expected

__all__ = ["PROBE", "PROBE_TIMEOUTS", "ProbeSink"]

PROBE: Final = Expected(probe=True)

PROBE_TIMEOUTS: Final = Timeouts(connect=2.0, first_byte=2.0, idle=2.0)
"""A healthy server answers in milliseconds."""


class ProbeSink:
    """The sink of a probe: tells ``done(None)`` or ``done(error)``, once.

    A server that refuses the question (it has no such path, it wants a key, it is busy) answers, so
    it is well.
    """

    def __init__(self, done: Callable[[BaseException | None], object]) -> None:
        self._done: Callable[[BaseException | None], object] | None = done

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """A probe is no stream: ignored."""

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Always."""
        del when_room
        return True

    def answer(self, body: bytes) -> None:
        """It answers."""
        del body
        self._tell(None)

    def finish(self) -> None:
        """It answers."""
        self._tell(None)

    def fail(self, error: BaseException) -> None:
        """It does not answer, or it failed."""
        self._tell(error)

    def _tell(self, error: BaseException | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(error)
