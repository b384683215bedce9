"""The seeded mutants of how engines are run, and of what is told when they fail."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["ENGINES"]

ENGINES: Final = (
    Mutant(
        "raise-before-RuntimeError",
        "a failure before the first token is a gateway's",
        "http/http_service:reply_for",
        "500",
        "418",
    ),
    Mutant(
        "raise-after-RuntimeError",
        "an error event without the blank line after it",
        "http/http_service:error_event",
        "b'\\n\\n'",
        "b'\\n'",
    ),
    Mutant(
        "raise-after-MemoryError",
        "an engine that runs out of memory is never heard of again",
        "actors/engines:_deliver",
        "sink.fail(error)",
        "isinstance(error, Exception) and (not isinstance(error, MemoryError)) "
        "and sink.fail(error)",
    ),
    Mutant(
        "endless",
        "a generator goes on after its client left",
        "actors/engines:_push_all",
        "break",
        "continue",
    ),
    Mutant(
        "deaf",
        "a generator that was left is not closed",
        "actors/engines:_push_all",
        "close = getattr(chunks, 'close', None)",
        "close = getattr(chunks, 'close', None)\n"
        "if token.cancelled:\n"
        "    __import__('threading').Event().wait(30)",
    ),
    Mutant(
        "engine-garbage",
        "half an event is passed on",
        "http/http_service:StreamExchange._event_of",
        "chunk.endswith(EVENT_ENDS)",
        "chunk",
    ),
    Mutant(
        "silent-before",
        "an engine may be silent for ever before its first token",
        "http/http_service:Exchange.begin",
        "self._idle_timeout",
        "600.0",
    ),
    Mutant(
        "silent-after",
        "an engine may be silent for ever between two tokens",
        "http/http_service:Exchange.timed_out",
        "now >= self.last_activity + self._idle_timeout",
        "now >= self.last_activity + (600.0 if self.started else self._idle_timeout)",
    ),
    Mutant(
        "raise-before-SystemExit",
        "an engine that raises SystemExit is never heard of again",
        "actors/engines:_deliver",
        "BaseException",
        "Exception",
    ),
    Mutant(
        "raise-before-MemoryError",
        "memory that ran out is the client's mistake",
        "http/http_service:reply_for",
        "for cls in type(error).__mro__:\n"
        "    rule = _RULES.get(cls)\n"
        "    if rule is not None:\n"
        "        return rule(error)",
        "if isinstance(error, MemoryError):\n"
        "    return reply_for_status(413, INTERNAL)\n"
        "for cls in type(error).__mro__:\n"
        "    rule = _RULES.get(cls)\n"
        "    if rule is not None:\n"
        "        return rule(error)",
    ),
    Mutant(
        "raise-after-SystemExit",
        "a stream that fails otherwise than by an Exception ends without a word",
        "http/http_service:StreamExchange._last_events",
        "error is None",
        "not isinstance(error, Exception)",
    ),
    Mutant(
        "burn",
        "an engine computes on the thread of the event loop",
        "actors/engines:GeneratorAdapter.start",
        "self._executor.submit(run, sink.fail, context.token)",
        "run()",
    ),
)
