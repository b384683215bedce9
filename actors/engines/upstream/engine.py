"""Relay to an OpenAI-compatible server: bytes in, bytes out, failures told in our own words.

No request holds a thread: all of them are on one event loop (``actors.eventloop``).
"""

from __future__ import annotations

import threading
import time
from _thread import allocate_lock, get_ident
from collections.abc import Callable, Collection
from typing import Final, Literal, NoReturn

from actors.engines.contract import MEDIA, Context, EngineRequest, Kind, Sink
from actors.engines.counting import counter_for
from actors.engines.dialect import Dialect, KeyHeader, Original, Spoken
from actors.engines.errors import EngineBusy, EngineError, EngineRejected, EngineUnavailable
from actors.engines.llama_dialect import choices_of, prefill_of
from actors.engines.upstream.call import Call, Timeouts
from actors.engines.upstream.connection_pool import ConnectionPool
from actors.engines.upstream.counting import PAUSE_SECONDS, CountSink, question
from actors.engines.upstream.dial import Place
from actors.engines.upstream.names import Names
from actors.engines.upstream.probe import PROBE, PROBE_TIMEOUTS, ProbeSink
from actors.engines.upstream.reach import AddressRefused, Reach
from actors.engines.upstream.request import (
    ANYTHING,
    LENGTH,
    VIA,
    body_of,
    key_line,
    parse_url,
    probe_request,
    renamed,
    request_head,
)
from actors.engines.upstream.response import DOCUMENT, MEDIA_ANSWER, STREAM, UNARY, Expected
from actors.engines.upstream.tls import Tls
from actors.engines.via import PSEUDONYM
from actors.eventloop import EventLoop, shared_loop

__all__ = ["Timeouts", "Tls", "UpstreamEngine", "whole_request"]

# Seconds to a listener that is up: two lost SYNs (1 s + 2 s, RFC 6298) and some.
CONNECT_TIMEOUT: Final = 5.0
# Seconds of silence, before the first token and after it, where --engine-timeout says nothing else:
# a long prompt on a full server takes minutes, and a unary answer sends nothing before it is whole.
ENGINE_TIMEOUT: Final = 600.0
# Requests at once, a connection each: far beyond what one server batches. It bounds our own file
# descriptors, not the upstream's load.
MAX_CONNECTIONS: Final = 4096

_names: Final = Names()


class UpstreamEngine:
    """Answers by asking the OpenAI-compatible server at ``url`` (as ``http://host:8000/v1``).

    ``model`` is the upstream's name of the model where it differs from ours; otherwise the
    client's body is forwarded byte for byte. ``api_key`` is sent as a bearer token, or alone in
    ``x-api-key`` where ``api_key_header`` says so. Timeouts are
    in seconds: for the connect, until the first output, of silence after it. ``unary``
    is ``"pass"`` (the upstream's answer is passed on as it is) or ``"fold"`` (the upstream is asked
    for a stream; for servers like llama.cpp that go on generating when a unary client left).
    ``max_connections`` bounds the requests at once; beyond it a request is refused. ``tls`` is for
    ``https`` URLs. ``reach`` says which addresses may be asked; without it, all. A URL without a
    path gets ``/v1``. ``speaks`` are the dialects in which it is asked in the client's own words,
    and how it counts tokens.
    ``loop`` is the process's own by default.
    Raises ``ValueError`` for a URL, a key or a TLS file that can't be used.

    ``url`` is as it was given; ``place`` and ``base_path`` are what was read from it.
    """

    enforces_timeouts = True
    """A pool need not watch its deadlines: it keeps those it was given."""

    def __init__(
        self,
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        api_key_header: KeyHeader = "authorization",
        connect_timeout: float = CONNECT_TIMEOUT,
        first_byte_timeout: float = ENGINE_TIMEOUT,
        idle_timeout: float = ENGINE_TIMEOUT,
        unary: Literal["pass", "fold"] = "pass",
        max_connections: int = MAX_CONNECTIONS,
        tls: Tls | None = None,
        reach: Reach | None = None,
        speaks: Collection[Spoken] = (),
        loop: EventLoop | None = None,
    ) -> None:
        target = parse_url(url)
        if reach is not None and (why := reach.refusal(target.host, target.port)) is not None:
            raise AddressRefused(why)
        self.url = url
        self.timeouts: Final = Timeouts(connect_timeout, first_byte_timeout, idle_timeout)
        self._model = model
        self._fold = unary == "fold"
        self._speaks = speaks
        self._rewrites = self._fold or model is not None
        """Whether a request's body is not simply passed on."""
        self.base_path: Final = target.base_path
        context = (tls or Tls()).wrapper() if target.tls else None
        self.place: Final = Place(target.host, target.port, context, reach)
        # PERF: one now, which most need, the others when they are needed: 200 bytes each.
        self._key_line = key_line(api_key, api_key_header)
        head = request_head(target, Kind.CHAT.path, self._key_line, stream=True)
        self._stream_heads: dict[str, bytes] = {Kind.CHAT: head}
        self._unary_heads: dict[str, bytes] = {}
        """By the kind, or the path of an endpoint where one document answers, or a dialect's."""
        self._target = target
        self._probe = probe_request(target, self._key_line)
        self.loop = loop or shared_loop()
        self.connections = ConnectionPool(self.loop, _names, self.place)
        self._most = max_connections
        self.running: Final[set[Call]] = set()
        self.closing = False
        self._lock = allocate_lock()
        # PERF: made by ``close``: an engine stands beside each of perhaps ten thousand entries.
        self._emptied: threading.Event | None = None
        self._counts_from = 0.0
        """When it may be asked for a count again, on ``time.monotonic``."""

    def __repr__(self) -> str:
        return f"<UpstreamEngine {self.url}>"

    def start(
        self,
        request: EngineRequest,
        sink: Sink,
        context: Context,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Begin to relay, on the event loop; any thread, microseconds.

        ``timeouts`` are for this request instead of the engine's. Raises ``EngineBusy`` when full,
        ``EngineUnavailable`` when closed.
        """
        original = request.original
        if original is not None and self.passes(original.dialect, stream=request.stream):
            data, expected = self._native(request, original, context)
        elif original is not None and original.refusal is not None:
            raise original.refusal
        else:
            body = request.raw
            if self._rewrites:
                body = body_of(request, model=self._model, fold=self._fold and not request.path)
            if request.path:
                expected = MEDIA_ANSWER if request.kind in MEDIA else DOCUMENT
                head = self._unary_heads.get(request.path)
            elif request.stream or self._fold:
                expected = self._expected_stream(request)
                head = self._stream_heads.get(request.kind)
            else:
                expected = UNARY
                head = self._unary_heads.get(request.kind)
            if head is None:
                head = self._new_head(request, stream=expected.stream)
            data = whole_request(head, context.request_id, body, context.headers)
        call = Call(self, data, sink, context, timeouts or self.timeouts, expected)
        # PERF: no lock: each method of a set is one step under the GIL. The call is added first and
        # then looked at, so that neither the bound nor :meth:`close` misses it.
        running = self.running
        running.add(call)
        if self.closing or len(running) > self._most:
            self._refuse(call)
        if self.loop.thread == get_ident():
            call.begin()
        else:
            self.loop.call(call.begin)

    def _refuse(self, call: Call) -> NoReturn:
        self.running.discard(call)
        if self.closing:
            self.ended()
            raise EngineUnavailable("the engine was closed")
        raise EngineBusy("too many requests for one upstream; try again soon")

    def ended(self) -> None:
        """One of its calls is over, while it is ``closing``. Any thread."""
        if not self.running and self._emptied is not None:
            self._emptied.set()

    def probe(self, done: Callable[[BaseException | None], object]) -> None:
        """Ask whether the upstream answers at all; ``done(None)``, or ``done(error)``, once.

        Returns at once; ``done`` is called on the event loop's thread.
        """
        context = Context(request_id="")
        call = Call(self, self._probe, ProbeSink(done), context, PROBE_TIMEOUTS, PROBE)
        self.loop.call(call.begin)

    def counts(self, request: EngineRequest) -> bool:
        """See ``CountsTokens``."""
        able = bool(self._speaks) and counter_for(self._speaks, request) is not None
        return able and not self.closing and time.monotonic() >= self._counts_from

    def count(self, request: EngineRequest, context: Context) -> int:
        """See ``CountsTokens``. Not on the event loop's thread, and beside :meth:`start`'s bound.

        Raises ``EngineUnavailable`` where :meth:`counts` is false, or ``EngineError``.
        """
        counter = counter_for(self._speaks, request)
        if counter is None:
            raise EngineUnavailable("the upstream does not count tokens")
        body, headers = question(counter, request, self._model)
        head = request_head(self._target, counter.path, self._key_line, stream=False)
        data = whole_request(head, context.request_id, body, context.headers + headers)
        sink = CountSink()
        self.loop.call(Call(self, data, sink, context, self.timeouts, DOCUMENT).begin)
        try:
            return sink.wait()
        except EngineRejected:  # this prompt alone
            raise
        except EngineError:
            self._counts_from = time.monotonic() + PAUSE_SECONDS
            raise

    def close(self, timeout: float = 5.0) -> bool:
        """Refuse new requests, wait for the running ones; True if all ended in time.

        On the event loop's own thread it does not wait.
        """
        until = time.monotonic() + (0.0 if self.loop.on_loop else timeout)
        with self._lock:
            emptied = self._emptied = self._emptied or threading.Event()
            self.closing = True
        # NOTE: a call that ends from here on sees that it is closing; one before has left the set.
        if not self.running:
            emptied.set()
        ended = emptied.wait(max(until - time.monotonic(), 0.0))
        if len(self.connections):
            closed = threading.Event()
            self.loop.call(self.connections.close)
            self.loop.call(closed.set)
            closed.wait(max(until - time.monotonic(), 0.0))
        return ended

    def _new_head(self, request: EngineRequest, *, stream: bool) -> bytes:
        path = request.path or request.kind.path
        accept = ANYTHING if request.kind in MEDIA else ""
        if request.form is not None:  # its boundary is its own
            return request_head(
                self._target, path, self._key_line, stream=False, accept=accept,
                content_type=request.form.content_type,
            )  # fmt: skip
        head = request_head(self._target, path, self._key_line, stream=stream, accept=accept)
        if stream:
            self._stream_heads[request.kind] = head
        else:
            self._unary_heads[request.path or request.kind] = head
        return head

    def passes(self, dialect: Dialect, *, stream: bool) -> bool:
        """Whether it is asked in the client's own words; no other answer can be put together."""
        return dialect in self._speaks and (stream or not self._fold)

    def _native(
        self, request: EngineRequest, original: Original, context: Context
    ) -> tuple[bytes, Expected]:
        """The client's own request, and what is expected of it."""
        path, stream, model = original.dialect.path, request.stream, self._model
        heads = self._stream_heads if stream else self._unary_heads
        head = heads.get(path)
        if head is None:
            head = heads[path] = request_head(self._target, path, self._key_line, stream=stream)
        body = original.raw
        if model is not None and model != request.model:
            body = renamed(body, model)
        headers = context.headers + original.headers
        return (
            whole_request(head, context.request_id, body, headers),
            Expected(stream=stream, raw=stream, dialect=original.dialect),
        )

    def _expected_stream(self, request: EngineRequest) -> Expected:
        """What is expected where the upstream is asked for a stream."""
        asked = request.body if request.parsed is None else request.parsed
        choices = choices_of(asked) if "n" in asked or "prompt" in asked else 0
        if not (choices or self._fold):
            return STREAM
        prefill = prefill_of(request) if self._fold else ""
        return Expected(stream=True, raw=request.stream, choices=choices, prefill=prefill)


def whole_request(
    head: bytes, request_id: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """Head and body, ready for the wire; ``headers`` are the client's that are passed on.

    Its ``via`` comes before ours, in one list.
    """
    if headers:
        head = _with_headers(head, headers)
    # SECURITY: a header is one line of ASCII; anything else stays here.
    if request_id.isascii() and request_id.isprintable():
        return b"%s%d\r\nx-request-id: %s\r\n\r\n%s" % (head, len(body), request_id.encode(), body)
    return b"%s%d\r\n\r\n%s" % (head, len(body), body)


def _with_headers(head: bytes, headers: tuple[tuple[str, str], ...]) -> bytes:
    """``head`` with ``headers`` in it; those that would not be one line of it are left out."""
    before, length = head[: -len(LENGTH)], head[-len(LENGTH) :]
    for name, value in headers:
        if not (value.isascii() and value.isprintable()):  # SECURITY: as with the request's id
            continue
        if name == "via":
            before = before.replace(VIA, f"via: {value}, 1.1 {PSEUDONYM}".encode(), 1)
        else:
            before += f"{name}: {value}\r\n".encode()
    return before + length
