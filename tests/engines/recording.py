"""A sink that remembers, and is stricter than the service's: it also sees what came too late."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from actors.engines import Chunk
from actors.engines.sse import read_event, split_events

DEADLINE = 20.0  # seconds; a hang is a failure, and a busy machine is none


class RecordingSink:
    """Keeps everything that an engine delivered, in order."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []
        self.tokens: list[int] = []
        self.ends: list[str] = []
        self.late: list[object] = []
        self.error: BaseException | None = None
        self.body: bytes | None = None
        self._changed = threading.Condition()

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        with self._changed:
            if self.ends:
                self.late.append(chunk)
            self.chunks.append(chunk)
            self.tokens.append(tokens)
            self._changed.notify_all()

    def has_room(self, when_room: Callable[[], object]) -> bool:
        return True

    def answer(self, body: bytes) -> None:
        self.body = body
        self._end("answer")

    def finish(self) -> None:
        self._end("finish")

    def fail(self, error: BaseException) -> None:
        self.error = error
        self._end("fail")

    def _end(self, how: str) -> None:
        with self._changed:
            self.ends.append(how)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until ``condition()`` holds, seen after each delivery."""
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE), f"only {self.chunks}, {self.ends}"

    def wait_for_end(self) -> RecordingSink:
        self.wait_for(lambda: self.ends)
        return self

    def wait_for_chunks(self, number: int = 1) -> None:
        self.wait_for(lambda: len(self.chunks) >= number)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The chunks, decoded where they are events; comments are none."""
        return [chunk for each in self.chunks for chunk in _decoded(each) if chunk]

    def text(self, index: int = 0) -> str:
        """What choice ``index`` said."""
        return "".join(
            (choice["delta"].get("content") or "") if "delta" in choice else choice["text"]
            for chunk in self.objects
            for choice in chunk["choices"]
            if choice["index"] == index
        )

    def finish_reasons(self) -> dict[int, str]:
        """The finish reason of each choice that has one."""
        return {
            choice["index"]: choice["finish_reason"]
            for chunk in self.objects
            for choice in chunk["choices"]
            if choice["finish_reason"] is not None
        }


def _decoded(chunk: Chunk) -> list[dict[str, Any]]:
    if not isinstance(chunk, bytes):
        return [chunk]
    return [read_event(event).chunk for event in split_events(chunk)]


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until ``condition()`` holds; for what tells nobody when it changes."""
    pause = threading.Event()
    waited = 0.0
    while not condition():
        assert waited < DEADLINE, "the condition never held"
        pause.wait(0.01)
        waited += 0.01
