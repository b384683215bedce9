"""Relay to an OpenAI-compatible server: bytes in, bytes out, failures told in our own words."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal, cast
from urllib.parse import SplitResult, urlsplit

import orjson

from actors.engines.contract import Context, EngineRequest, Kind, Sink
from actors.engines.errors import EngineError, EngineUnavailable
from actors.engines.executor import BoundedExecutor
from actors.engines.upstream_errors import error_for
from actors.engines.upstream_http import Exchange, Place, Transport
from actors.engines.upstream_stream import StreamRelay
from actors.supervision.errors import Cancelled

__all__ = ["UpstreamEngine"]

_log = logging.getLogger("actors.engines.upstream")

# Seconds to a listener that is up: two lost SYNs (1 s + 2 s, RFC 6298) and some.
CONNECT_TIMEOUT: Final = 5.0
# Seconds of silence before the first token: a long prompt on a full server takes minutes, and a
# unary answer sends nothing before it is complete.
FIRST_BYTE_TIMEOUT: Final = 600.0
# Seconds of silence between tokens; servers send comments in longer pauses (llama.cpp: each 30 s).
IDLE_TIMEOUT: Final = 120.0
# Relays at once, a thread each; and those that wait for one.
MAX_RUNNING: Final = 128
MAX_WAITING: Final = 512

# Bytes of a unary answer that are held in memory; and of an error, of which a line is shown.
_MAX_ANSWER: Final = 64 * 1024 * 1024
_MAX_ERROR: Final = 64 * 1024

_PATHS: Final = {Kind.CHAT: "/chat/completions", Kind.COMPLETIONS: "/completions"}
_PORTS: Final = {"http": 80, "https": 443}


class UpstreamEngine:
    """Answers by asking the OpenAI-compatible server at ``url`` (as ``http://host:8000/v1``).

    ``model`` is the upstream's name of the model where it differs from ours; otherwise the
    client's body is forwarded byte for byte. ``api_key`` is sent as a bearer token. Timeouts are
    in seconds: for the connect, of silence before the first chunk, of silence after it. ``unary``
    is ``"pass"`` (the upstream's answer is passed on as it is) or ``"fold"`` (the upstream is asked
    for a stream; for servers like llama.cpp that go on generating when a unary client left).
    A URL without a path gets ``/v1``. Raises ``ValueError`` for a URL that can't be one.

    ``url`` is as it was given; ``place`` and ``base_path`` are what was read from it.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        first_byte_timeout: float = FIRST_BYTE_TIMEOUT,
        idle_timeout: float = IDLE_TIMEOUT,
        unary: Literal["pass", "fold"] = "pass",
        max_running: int = MAX_RUNNING,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        parts = _parse(url)
        self.url: Final = url
        self._model = model
        self._unary = unary
        self._idle_timeout = idle_timeout
        self.base_path: Final = parts.path.rstrip("/") or "/v1"
        self._query = f"?{parts.query}" if parts.query else ""
        self._key = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        self.place: Final = Place(
            host=parts.hostname or "",
            port=parts.port or _PORTS[parts.scheme],
            tls=ssl.create_default_context() if parts.scheme == "https" else None,
            connect_timeout=connect_timeout,
            first_byte_timeout=first_byte_timeout,
        )
        self._transport = Transport(self.place)
        self._executor = BoundedExecutor(
            "upstream", max_running=max_running, max_waiting=max_waiting
        )

    def __repr__(self) -> str:
        return f"<UpstreamEngine {self.url}>"

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Begin to relay on a thread of this engine. Raises ``EngineBusy`` when full."""
        run = partial(self._serve, request, sink, context)
        self._executor.submit(run, sink.fail, context.token)

    def close(self, timeout: float = 5.0) -> bool:
        """Refuse new requests, wait for the running ones; True if all ended in time."""
        ended = self._executor.close(timeout)
        self._transport.close()
        return ended

    def _serve(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        exchange = self._transport.exchange()
        try:
            with context.token.on_cancel(exchange.abort):
                end = self._relay(exchange, request, sink, context)
        except BaseException as error:  # noqa: BLE001  # whatever failed is the sink's to tell
            exchange.close()
            self._fail(error, sink, context)
        else:
            # The client first; then the connection is read to its end, to be kept.
            end()
            exchange.close(reusable=True)

    def _relay(
        self, exchange: Exchange, request: EngineRequest, sink: Sink, context: Context
    ) -> Callable[[], None]:
        """Ask, push what comes; return how the sink is to be ended."""
        stream = request.stream or self._unary == "fold"
        target = f"{self.base_path}{_PATHS[request.kind]}{self._query}"
        exchange.send(target, self._headers(context, stream=stream), self._body(request))
        if exchange.status != 200:
            raise error_for(exchange.status, exchange.headers, _read_some(exchange, _MAX_ERROR))
        if not stream:
            return partial(sink.answer, _checked(_read_some(exchange, _MAX_ANSWER + 1)))
        if exchange.headers.get("content-type", "").startswith("application/json"):
            raise EngineUnavailable("the upstream was asked for a stream and sent none")
        relay = StreamRelay(sink, raw=request.stream)
        while not relay.done and (data := exchange.read()):
            if relay.feed(data):
                exchange.allow_silence(self._idle_timeout)
        relay.end()
        return sink.finish

    def _headers(self, context: Context, *, stream: bool) -> dict[str, str]:
        headers = {
            "accept": "text/event-stream" if stream else "application/json",
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": "callboard",
            **self._key,
        }
        # SECURITY: a header is one line of ASCII; anything else stays here.
        if context.request_id.isascii() and context.request_id.isprintable():
            headers["x-request-id"] = context.request_id
        return headers

    def _body(self, request: EngineRequest) -> bytes:
        """The client's own bytes, unless the upstream needs another model name or a stream."""
        changes: dict[str, Any] = {}
        if self._model is not None and self._model != request.body.get("model"):
            changes["model"] = self._model
        if not request.stream and self._unary == "fold":
            changes |= {"stream": True, "stream_options": {"include_usage": True}}
        return orjson.dumps({**request.body, **changes}) if changes else request.raw

    def _fail(self, error: BaseException, sink: Sink, context: Context) -> None:
        if context.token.cancelled:
            sink.fail(Cancelled("the request was cancelled"))
            return
        if isinstance(error, EngineError) and error.status >= 500:
            _log.warning(
                "an upstream failed",
                extra={
                    "upstream": self.url,
                    "request_id": context.request_id,
                    "error": error.message,
                    "cause": repr(error.__cause__) if error.__cause__ else None,
                },
            )
        sink.fail(error)


def _parse(url: str) -> SplitResult:
    """The parts of an upstream's URL. Raises ``ValueError`` that says what to give instead."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is no upstream's URL: give it as http://host:port/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("an upstream's URL must hold no credentials: give them as its api_key")
    parts.port  # noqa: B018  # raises ValueError for a port that is no number up to 65535
    return parts


def _read_some(exchange: Exchange, limit: int) -> bytes:
    """The answer's body, up to ``limit`` bytes (and what came with the last of them)."""
    pieces: list[bytes] = []
    size = 0
    while size < limit and (data := exchange.read()):
        pieces.append(data)
        size += len(data)
    return b"".join(pieces)


def _checked(body: bytes) -> bytes:
    """``body``, if it is an answer: some servers send an error, or a page, with status 200."""
    if len(body) > _MAX_ANSWER:
        raise EngineUnavailable("the upstream's answer is too long")
    try:
        answer: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise EngineUnavailable("the upstream's answer is not JSON") from error
    if not isinstance(answer, dict) or cast("dict[str, Any]", answer).get("error") is not None:
        raise EngineUnavailable("the upstream's answer is no completion")
    return body
