"""What a client may learn about a failure of an engine: each error says whose fault it is.

An engine raises (or hands to ``sink.fail``) one of these when the client should learn more than
"internal error". Any other exception is logged in full and reported to the client as a 500 with a
fixed text: an engine's own words never leak.
"""

from __future__ import annotations

__all__ = [
    "AnswerTooLong",
    "ClientTooSlow",
    "DeadlineExceeded",
    "EngineBusy",
    "EngineError",
    "EngineRejected",
    "EngineTimeout",
    "EngineUnavailable",
    "LocalShortage",
    "NotTranslatable",
]


class EngineError(Exception):
    """A failure whose message is safe to show to the client.

    ``status`` is the HTTP status, ``code`` and ``param`` are OpenAI's fields of that name,
    ``retry_after`` is in seconds.
    """

    status = 500
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status
        if code is not None:
            self.code = code
        self.param = param
        self.retry_after = retry_after


class EngineRejected(EngineError):
    """The client's mistake, found by the engine (400 unless said otherwise); not worth a retry."""

    status = 400
    code = "invalid_request"


class NotTranslatable(EngineRejected):
    """What the client asks can be said in its own API alone, which the engine does not speak (400).

    Another instance may speak it.
    """

    code = "unsupported_parameter"


class EngineBusy(EngineError):
    """Currently full (429): the same request may succeed in ``retry_after`` seconds."""

    status = 429
    code = "overloaded"

    def __init__(self, message: str, *, code: str | None = None, retry_after: int = 1) -> None:
        super().__init__(message, code=code, retry_after=retry_after)


class EngineUnavailable(EngineError):
    """The engine or its upstream can't be reached or broke off (502)."""

    status = 502
    code = "upstream_unavailable"


class AnswerTooLong(EngineUnavailable):
    """The answer is longer than is held in memory; it would be from every instance."""

    code = "answer_too_long"


class EngineTimeout(EngineError):
    """The engine did not answer within its deadline (504)."""

    status = 504
    code = "upstream_timeout"


class DeadlineExceeded(EngineTimeout):
    """The *client's* own deadline is over (504); says nothing about the engine.

    No instance is blamed for it, no other one is asked, and no retry is spent.
    """


class ClientTooSlow(EngineUnavailable):
    """The upstream ended the connection after the *client* had kept it waiting (502)."""


class LocalShortage(EngineError):
    """This process ran out of something: descriptors, ports, buffers, threads (503).

    No instance is blamed for it, and no other one is asked: it would need the same.
    """

    status = 503
    code = "service_unavailable"

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message, retry_after=retry_after)
