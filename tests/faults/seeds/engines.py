"""The seeded mutants of how engines are run, and of what is told when they fail."""

from __future__ import annotations

from typing import Final

from tests.faults.mutant import Mutant

__all__ = ["ENGINES"]

ENGINES: Final = (
    Mutant(
        "raise-before-RuntimeError",
        "a failure before the first token is a gateway's",
        "http/http_service/errors.py",
        "    return reply_for_status(500, INTERNAL)",
        "    return reply_for_status(418, INTERNAL)",
    ),
    Mutant(
        "raise-after-RuntimeError",
        "an error event without the blank line after it",
        "http/http_service/streaming/sse.py",
        'return b"data: " + reply.body() + b"\\n\\n"',
        'return b"data: " + reply.body() + b"\\n"',
    ),
    Mutant(
        "raise-after-MemoryError",
        "an engine that runs out of memory is never heard of again",
        "actors/engines/adapters.py",
        "        sink.fail(error)\n    else:\n        sink.finish()",
        "        isinstance(error, Exception) and not isinstance(error, MemoryError)"
        " and sink.fail(error)\n    else:\n        sink.finish()",
    ),
    Mutant(
        "endless",
        "a generator goes on after its client left",
        "actors/engines/adapters.py",
        "            if token.cancelled:\n                break",
        "            if token.cancelled:\n                continue",
    ),
    Mutant(
        "deaf",
        "a generator that was left is not closed",
        "actors/engines/adapters.py",
        "        if close is not None:\n            close()",
        "        if token.cancelled:\n            __import__('threading').Event().wait(30)\n"
        "        if close is not None:\n            close()",
    ),
    Mutant(
        "engine-garbage",
        "half an event is passed on",
        "http/http_service/streaming/stream_exchange.py",
        "            if not chunk.endswith(EVENT_ENDS):\n                self.terminate",
        "            if not chunk:\n                self.terminate",
    ),
    Mutant(
        "silent-before",
        "an engine may be silent for ever before its first token",
        "http/http_service/streaming/exchange.py",
        "            self._start_timeout(self.last_activity + self._idle_timeout)\n"
        "        if self.started",
        "            self._start_timeout(self.last_activity + 600.0)\n        if self.started",
    ),
    Mutant(
        "silent-after",
        "an engine may be silent for ever between two tokens",
        "http/http_service/streaming/exchange.py",
        "        elif now >= self.last_activity + self._idle_timeout:",
        "        elif now >= self.last_activity + (600.0 if self.started else self._idle_timeout):",
    ),
    Mutant(
        "raise-before-SystemExit",
        "an engine that raises SystemExit is never heard of again",
        "actors/engines/adapters.py",
        "    except BaseException as error:  # noqa: BLE001  # the sink reports",
        "    except Exception as error:  # noqa: BLE001  # the sink reports",
    ),
    Mutant(
        "raise-before-MemoryError",
        "memory that ran out is the client's mistake",
        "http/http_service/errors.py",
        "    for cls in type(error).__mro__:\n",
        "    if isinstance(error, MemoryError):\n        return reply_for_status(413, INTERNAL)\n"
        "    for cls in type(error).__mro__:\n",
    ),
    Mutant(
        "raise-after-SystemExit",
        "a stream that fails otherwise than by an Exception ends without a word",
        "http/http_service/streaming/stream_exchange.py",
        "data += DONE if self.error is None else",
        "data += DONE if not isinstance(self.error, Exception) else",
    ),
    Mutant(
        "burn",
        "an engine computes on the thread of the event loop",
        "actors/engines/adapters.py",
        "        self._executor.submit(run, sink.fail, context.token)",
        "        run()",
    ),
)
