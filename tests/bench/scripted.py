"""An engine for measurements: it says what the client's message scripts, and when.

The same words that tell the mock upstream what to do (``peers.script``) tell this engine, so one
request can be measured in process and relayed. All its paced answers are spoken by one thread.
"""

from __future__ import annotations

import heapq
import threading
import time
from functools import partial
from typing import Any, Final

from actors.engines.contract import Context, EngineRequest, Sink
from actors.supervision.errors import Cancelled
from tests.bench.peers.answer import stamp
from tests.bench.peers.script import Script

__all__ = ["THREAD_NAME", "ScriptedEngine"]

THREAD_NAME: Final = "bench-engine"

_HEAD: Final[dict[str, Any]] = {
    "id": "chatcmpl-bench",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "scripted",
}


class _Speech:
    """One answer under way; ``spoken`` counts its tokens."""

    __slots__ = ("over", "script", "sink", "spoken")

    def __init__(self, script: Script, sink: Sink) -> None:
        self.script = script
        self.sink = sink
        self.spoken = 0
        self.over = False


class ScriptedEngine:
    """Speaks as scripted; a push engine. ``cancelled`` tells when a tagged answer was cut.

    ``cancelled`` maps a script's tag to the moment, on the monotonic clock, at which the engine
    heard that nobody wants the answer any more; ``started`` holds the tags it has seen.
    ``late`` holds by how many seconds the thread came too late for a token, at most: the engine's
    own share of a latency.
    """

    def __init__(self) -> None:
        self.cancelled: Final[dict[int, float]] = {}
        self.started: Final[set[int]] = set()
        self.late = 0.0
        self._due: list[tuple[float, int, _Speech]] = []
        self._serial = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
        self._thread.start()

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Begin to speak; at once and whole, if there is no pace."""
        script = Script.find(request.raw)
        speech = _Speech(script, sink)
        if script.pace or script.silent:
            context.token.on_cancel(partial(self._cut, speech))
        self.started.add(script.tag)
        if script.silent:
            return
        sink.push(_chunk({"role": "assistant", "content": ""}), 0)
        if script.pace:
            with self._changed:
                self._plan(time.monotonic(), speech)
                self._changed.notify()
            return
        for _ in range(script.tokens):
            sink.push(_chunk({"content": stamp(0.0).decode()}))
        _end(speech)

    def close(self, timeout: float = 5.0) -> bool:
        """End the thread; unfinished answers stay unfinished. True if it ended in time."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _cut(self, speech: _Speech) -> None:
        if speech.over:
            return
        speech.over = True
        if speech.script.tag:
            self.cancelled[speech.script.tag] = time.monotonic()
        speech.sink.fail(Cancelled("nobody listens any more"))

    def _plan(self, due: float, speech: _Speech) -> None:
        self._serial += 1
        heapq.heappush(self._due, (due, self._serial, speech))

    def _run(self) -> None:
        while (due := self._wait()) is not None:
            # PERF: one lock for all that is due, or the engine would cost as much as the service.
            later = [
                (at + speech.script.pace / 1000, speech)
                for at, speech in due
                if self._speak(at, speech)
            ]
            with self._changed:
                for at, speech in later:
                    self._plan(at, speech)

    def _wait(self) -> list[tuple[float, _Speech]] | None:
        """Every speech whose next token is due, with the moment it was due; ``None`` at the end."""
        with self._changed:
            while not self._closed:
                now = time.monotonic()
                due: list[tuple[float, _Speech]] = []
                while self._due and self._due[0][0] <= now:
                    at, _, speech = heapq.heappop(self._due)
                    due.append((at, speech))
                if due:
                    return due
                self._changed.wait(self._due[0][0] - now if self._due else None)
        return None

    def _speak(self, due: float, speech: _Speech) -> bool:
        """One token, unless the answer was cut; whether there are more to come."""
        if speech.over:
            return False
        now = time.monotonic()
        self.late = max(self.late, now - due)
        speech.spoken += 1
        text = stamp(now).decode() + "x" * speech.script.size
        speech.sink.push(_chunk({"content": text}))
        if speech.spoken < speech.script.tokens:
            return True
        _end(speech)
        return False


def _end(speech: _Speech) -> None:
    speech.over = True
    tokens = speech.script.tokens
    usage = {"prompt_tokens": 12, "completion_tokens": tokens, "total_tokens": 12 + tokens}
    speech.sink.push(_chunk({}, "stop"), 0)
    speech.sink.push({**_HEAD, "choices": [], "usage": usage}, 0)
    speech.sink.finish()


def _chunk(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    return {**_HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
