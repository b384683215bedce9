"""Relay to an OpenAI-compatible server: bytes in, bytes out, failures told in our own words.

No request holds a thread: all of them are on one event loop (``actors.eventloop``).
"""

from __future__ import annotations

import threading
import time
from _thread import allocate_lock, get_ident
from collections.abc import Callable
from typing import Final, Literal

from actors.engines.contract import Context, EngineRequest, Kind, Sink
from actors.engines.errors import EngineBusy, EngineUnavailable
from actors.engines.llama_dialect import choices_of, prefill_of
from actors.engines.upstream.call import Call, Timeouts
from actors.engines.upstream.connection_pool import ConnectionPool
from actors.engines.upstream.dial import Place
from actors.engines.upstream.names import Names
from actors.engines.upstream.probe import PROBE_TIMEOUTS, ProbeSink
from actors.engines.upstream.reach import AddressRefused, Reach
from actors.engines.upstream.request import (
    body_of,
    parse_url,
    probe_request,
    request_head,
    whole_request,
)
from actors.engines.upstream.tls import Tls
from actors.eventloop import EventLoop, shared_loop

__all__ = ["Timeouts", "Tls", "UpstreamEngine"]

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
    client's body is forwarded byte for byte. ``api_key`` is sent as a bearer token. Timeouts are
    in seconds: for the connect, until the first output, of silence after it. ``unary``
    is ``"pass"`` (the upstream's answer is passed on as it is) or ``"fold"`` (the upstream is asked
    for a stream; for servers like llama.cpp that go on generating when a unary client left).
    ``max_connections`` bounds the requests at once; beyond it a request is refused. ``tls`` is for
    ``https`` URLs. ``reach`` says which addresses may be asked; without it, all. A URL without a
    path gets ``/v1``. ``loop`` is the process's own by default.
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
        connect_timeout: float = CONNECT_TIMEOUT,
        first_byte_timeout: float = ENGINE_TIMEOUT,
        idle_timeout: float = ENGINE_TIMEOUT,
        unary: Literal["pass", "fold"] = "pass",
        max_connections: int = MAX_CONNECTIONS,
        tls: Tls | None = None,
        reach: Reach | None = None,
        loop: EventLoop | None = None,
    ) -> None:
        target = parse_url(url)
        if reach is not None and (why := reach.refusal(target.host, target.port)) is not None:
            raise AddressRefused(why)
        self.url = url
        self.timeouts: Final = Timeouts(connect_timeout, first_byte_timeout, idle_timeout)
        self._model = model
        self._fold = unary == "fold"
        self.base_path: Final = target.base_path
        context = (tls or Tls()).wrapper() if target.tls else None
        self.place: Final = Place(target.host, target.port, context, reach)
        # PERF: one for the check of the key, the others when they are needed: 200 bytes each.
        self._heads = {(Kind.CHAT, True): request_head(target, Kind.CHAT, api_key, stream=True)}
        self._target = target
        self._api_key = api_key
        self._probe = probe_request(target, api_key)
        self.loop = loop or shared_loop()
        self.connections = ConnectionPool(self.loop, _names, self.place)
        self._most = max_connections
        self._running = 0
        self._lock = allocate_lock()
        # PERF: made by ``close``: an engine stands beside each of perhaps ten thousand entries.
        self._emptied: threading.Event | None = None

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
        raw, fold, model = request.stream, self._fold, self._model
        stream = raw or fold
        body = (
            request.raw if model is None and not fold else body_of(request, model=model, fold=fold)
        )
        head = self._heads.get((request.kind, stream)) or self._new_head(
            request.kind, stream=stream
        )
        choices = 0
        if stream:
            asked = request.body if request.parsed is None else request.parsed
            if "n" in asked or "prompt" in asked:
                choices = choices_of(asked)
        call = Call(
            self,
            whole_request(head, context.request_id, body, context.headers),
            sink,
            context,
            timeouts or self.timeouts,
            stream=stream,
            raw=raw,
            choices=choices,
            prefill=prefill_of(request) if fold else "",
        )
        with self._lock:
            if self._emptied is not None:
                raise EngineUnavailable("the engine was closed")
            if self._running >= self._most:
                raise EngineBusy("too many requests for one upstream; try again soon")
            self._running += 1
        if self.loop.thread == get_ident():
            call.begin()
        else:
            self.loop.call(call.begin)

    def ended(self) -> None:
        """One of its calls is over: there is room for another."""
        with self._lock:
            self._running -= 1
            if self._emptied is not None and not self._running:
                self._emptied.set()

    def probe(self, done: Callable[[BaseException | None], object]) -> None:
        """Ask whether the upstream answers at all; ``done(None)``, or ``done(error)``, once.

        Returns at once; ``done`` is called on the event loop's thread.
        """
        context = Context(request_id="")
        call = Call(self, self._probe, ProbeSink(done), context, PROBE_TIMEOUTS, probe=True)
        self.loop.call(call.begin)

    def close(self, timeout: float = 5.0) -> bool:
        """Refuse new requests, wait for the running ones; True if all ended in time.

        On the event loop's own thread it does not wait.
        """
        until = time.monotonic() + (0.0 if self.loop.on_loop else timeout)
        with self._lock:
            emptied = self._emptied = self._emptied or threading.Event()
            if not self._running:
                emptied.set()
        ended = emptied.wait(max(until - time.monotonic(), 0.0))
        if len(self.connections):
            closed = threading.Event()
            self.loop.call(self.connections.close)
            self.loop.call(closed.set)
            closed.wait(max(until - time.monotonic(), 0.0))
        return ended

    def _new_head(self, kind: Kind, *, stream: bool) -> bytes:
        head = request_head(self._target, kind, self._api_key, stream=stream)
        self._heads[kind, stream] = head
        return head
