"""The contract between the HTTP service and whatever generates tokens.

An engine is written in one of three shapes, whichever suits it:

* a *generator* engine: ``def generate(self, request, context)`` yields chunks;
* an *async generator* engine: ``async def generate(self, request, context)`` yields chunks;
* a *push* engine: ``def start(self, request, sink, context)`` returns at once and pushes later.

A request whose kind does not generate (embeddings) is answered by one document: a push engine
calls ``answer``, a generator yields the one ``dict``. Of the kinds of :data:`MEDIA` the answer may
also be anything else, pushed or yielded in pieces (``actors.engines.media.Media``).

``actors.engines.adapters.as_push_engine`` turns the first two into the third, which is the only
shape the service calls. ``tests/engines/test_contract.py`` holds every engine to these promises.

A **chunk** is an OpenAI chunk object (a ``dict`` in the shape of ``chat.completion.chunk`` or
``text_completion``), or ``bytes``: one or more complete server-sent events (``b"data: ...\\n\\n"``,
or comments) that are passed to the client as they are; ``Native`` bytes are in the dialect of the
request's ``original`` (``actors.engines.dialect``). An engine never pushes ``[DONE]``; the service
ends the stream. An engine that knows the usage pushes it in a last chunk (``choices`` empty,
``usage`` set) whether or not the client asked: the service drops it where it was not asked for.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    NoReturn,
    Protocol,
    TypeAlias,
    get_args,
    runtime_checkable,
)

import orjson

from actors.engines.dialect import Original
from actors.engines.media import Form
from actors.suggestion import suggestion
from actors.supervision.cancellation import CancellationToken, Registration
from actors.supervision.user_code import call_all

if TYPE_CHECKING:
    from typing_extensions import TypeIs

__all__ = [
    "COMMENTS_AFTER",
    "GENERATING",
    "MEDIA",
    "TRANSLATED",
    "AnyEngine",
    "AsyncGeneratorEngine",
    "Chunk",
    "Context",
    "Engine",
    "EngineRequest",
    "Generating",
    "GeneratorEngine",
    "Kind",
    "Sink",
    "generates",
    "with_defaults",
    "with_model",
]

Chunk: TypeAlias = dict[str, Any] | bytes

COMMENTS_AFTER: Final = 15.0
"""Seconds after which an engine's comments reach the client before its answer begins: balancers cut
a connection that is silent for 60 s. Until then a failure can still be an HTTP error."""


_MODEL: Final = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*")')
"""One "model" whose value is a string without escapes."""
_ESCAPED_LETTER: Final = b"\\u006"
"""How each character of "model" begins if it is written as an escape."""


class Kind(StrEnum):
    """What a model does, and so which endpoints ask it.

    Chat and completions *generate*: they may stream, and are folded. Any other kind answers with
    one document, or with media.
    """

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RERANK = "rerank"
    SCORE = "score"
    CLASSIFY = "classify"
    POOLING = "pooling"
    TOKENIZE = "tokenize"
    DECISIONS = "decisions"
    SPEECH = "speech"
    TRANSCRIPTIONS = "transcriptions"
    IMAGES = "images"

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        """``Kind(word)`` for an unknown word: a ``ValueError`` that suggests a known one."""
        hint = suggestion(str(value), cls)
        raise ValueError(f"unknown kind {value!r:.100}: give one of {', '.join(cls)}{hint}")

    @property
    def path(self) -> str:
        """The path of its endpoint, or of its first one, on every server of OpenAI's API."""
        return _PATHS.get(self, f"/v1/{self}")


_PATHS: Final[Mapping[str, str]] = {
    "chat": "/v1/chat/completions",
    "speech": "/v1/audio/speech",
    "transcriptions": "/v1/audio/transcriptions",
    "images": "/v1/images/generations",
}
"""The endpoints that do not bear the name of their kind."""

Generating: TypeAlias = Literal[Kind.CHAT, Kind.COMPLETIONS]
"""The kinds that generate. A ``match`` over them ends with ``assert_never``."""

GENERATING: Final[tuple[Generating, ...]] = get_args(Generating)
"""All of :data:`Generating`."""

TRANSLATED: Final = frozenset((Kind.CHAT,))
"""The kinds in which requests of another dialect are asked."""

MEDIA: Final = frozenset((Kind.SPEECH, Kind.TRANSCRIPTIONS, Kind.IMAGES))
"""The kinds whose answers may be of any type: sound, text, events, a JSON document."""


def generates(kind: Kind) -> TypeIs[Generating]:
    """Whether models of ``kind`` generate, token by token."""
    return kind in GENERATING


@dataclass(slots=True)
class EngineRequest:
    """One client request that was validated; ``raw`` are the client's own bytes, a JSON object.

    Not to be changed (PERF: enforcing that would take a microsecond a request). ``parsed`` is that
    object where it is small enough to be kept for as long as the request lasts. ``path`` is the
    endpoint that was asked, "" for a kind that generates. ``original`` is the request as it was
    before it was translated, where it was: see ``Dialect``. ``form`` says how ``raw`` is written
    where it is a form and not JSON; ``parsed`` then has the fields that are read here.
    """

    kind: Kind
    model: str
    stream: bool
    parsed: Mapping[str, Any] | None
    raw: bytes
    path: str = ""
    original: Original | None = None
    form: Form | None = None

    @property
    def body(self) -> Mapping[str, Any]:
        """The object in ``raw``. A long one is decoded each time: read it once, and drop it."""
        return self.parsed if self.parsed is not None else orjson.loads(self.raw)


def with_model(raw: bytes, model: str) -> bytes | None:
    """``raw``, a JSON object with a ``model``, with that value replaced and no other byte changed.

    ``None`` where that can't be done by looking for the one ``"model"`` in it: inside a string its
    quotes would be escaped, so one that stands alone is a name or a whole string.
    """
    if raw.count(b'"model"') != 1 or _ESCAPED_LETTER in raw:
        return None
    match = _MODEL.search(raw)
    if match is None:
        return None
    return raw[: match.start(1)] + orjson.dumps(model) + raw[match.end(1) :]


_LIMITS: Final = frozenset(("max_tokens", "max_completion_tokens"))
"""Two names of one thing: who gives one of them has given both."""


def with_defaults(request: EngineRequest, defaults: Mapping[str, Any]) -> EngineRequest:
    """``request`` with those of ``defaults`` that it lacks; itself where it lacks none. Pure.

    What the client sent stays as it is, ``null`` included, byte for byte. ``defaults`` can be
    written as JSON.
    """
    if request.form is not None:
        raw, form = request.form.completed(request.raw, defaults)
        return request if raw == request.raw else replace(request, raw=raw, form=form)
    body = request.body
    given = body.keys() | _LIMITS if body.keys() & _LIMITS else body.keys()
    missing = {name: value for name, value in defaults.items() if name not in given}
    if not missing:
        return request
    # A request names its model, so its object is not empty.
    head, brace, rest = request.raw.partition(b"{")
    raw = head + brace + orjson.dumps(missing)[1:-1] + b"," + rest
    parsed = None if request.parsed is None else {**missing, **request.parsed}
    return replace(request, parsed=parsed, raw=raw)


class Context:
    """What an engine may rely on while it works for one request.

    ``token`` is cancelled when the answer is no longer wanted: the client left, the deadline
    passed, or the drain ended. ``deadline`` is on ``time.monotonic()``'s clock, ``None`` for none.
    ``session`` is what the client calls its conversation, where it says so. ``headers`` are the
    client's that an engine which relays passes on, as ``(name, value)``: names in lower case.
    ``priority`` is how soon the request is served among those that wait: higher ones first.

    PERF: a ``token`` that was not given is made on first use; an engine that lives on the event
    loop needs none, it uses :meth:`listen`. Any thread.
    """

    __slots__ = (
        "_cancelled", "_listener", "_registration", "_token",
        "deadline", "headers", "priority", "request_id", "session",
    )  # fmt: skip

    def __init__(
        self,
        request_id: str,
        token: CancellationToken | None = None,
        deadline: float | None = None,
        session: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
        priority: int = 0,
    ) -> None:
        self.request_id = request_id
        self.deadline = deadline
        self.session = session
        self.headers = headers
        self.priority = priority
        self._token = token
        self._cancelled = False
        self._listener: Callable[[], object] | None = None
        self._registration: Registration | None = None

    @property
    def token(self) -> CancellationToken:
        """The token of this request."""
        token = self._token
        if token is not None:
            return token
        made = CancellationToken()
        # NOTE: made before: a finalizer that runs meanwhile may look at the same context.
        with _changing:
            if self._token is not None:
                return self._token
            self._token = made
            listens = self._listener is not None
        # Each side writes before it reads what the other one writes: one of them sees the other.
        if listens:
            self._listen_to(made)
        if self._cancelled:
            made.cancel()
        return made

    @property
    def cancelled(self) -> bool:
        """Whether the answer is no longer wanted."""
        return self._cancelled or (self._token is not None and self._token.cancelled)

    def cancel(self) -> None:
        """The answer is no longer wanted. Idempotent; a listener that raises is logged."""
        self._cancelled = True
        if self._listener is not None:
            call_all((self._notify,), log=_log, error_message="a listener for cancellation failed")
        if self._token is not None:
            self._token.cancel()

    def listen(self, listener: Callable[[], object]) -> None:
        """Have ``listener()`` called once, at cancellation: at once if that has happened already.

        There is one listener at a time; :meth:`unlisten` removes it. It must be quick.
        """
        self._listener = listener
        if self._token is not None:
            self._listen_to(self._token)
        elif self._cancelled:
            self._notify()

    def unlisten(self) -> None:
        """Remove the listener."""
        self._listener = None
        registration, self._registration = self._registration, None
        if registration is not None:
            registration.unregister()

    def again(self) -> Context:
        """A copy for another attempt, which can be cancelled alone."""
        return Context(
            self.request_id, None, self.deadline, self.session, self.headers, self.priority
        )

    def _listen_to(self, token: CancellationToken) -> None:
        """Follow ``token``: one registration serves every listener, one after the other."""
        registration = token.on_cancel(self._notify)
        with _changing:
            spare, self._registration = self._registration, registration
        if spare is not None:
            spare.unregister()
        if self._listener is None:  # notified, or removed, meanwhile
            registration.unregister()

    def _notify(self) -> None:
        with _changing:  # or two threads that cancel might both find it
            listener, self._listener = self._listener, None
        if listener is not None:
            listener()


_changing: Final = threading.RLock()
"""Held while a context changes its listener. Re-entrant: a finalizer may look at one meanwhile."""

_log: Final = logging.getLogger("actors.engines")


class Sink(Protocol):
    """Where a push engine delivers; every method may be called from any thread and never blocks.

    The first of :meth:`finish`, :meth:`fail` and :meth:`answer` ends the request; whatever comes
    later is ignored, so an engine need not know that the client left.
    """

    def push(self, chunk: Chunk, tokens: int = 1) -> None:
        """Deliver one chunk that carries ``tokens`` output tokens (0 for role, usage, comments)."""
        ...

    def has_room(self, when_room: Callable[[], object]) -> bool:
        """Whether the client keeps up. If not, stop pushing until ``when_room()`` is called.

        That happens once, from any thread, when there is room again or the request has ended; it
        must be quick. Pushing beyond the buffer limit ends the request.
        """
        ...

    def answer(self, body: bytes) -> None:
        """Deliver the whole unary answer, a JSON document, instead of chunks; ends the request."""
        ...

    def finish(self) -> None:
        """End the request: every chunk was pushed."""
        ...

    def fail(self, error: BaseException) -> None:
        """End the request with an error: an ``EngineError`` for the client, others stay inside."""
        ...


@runtime_checkable
class Engine(Protocol):
    """The push shape: the only one that the service calls."""

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Begin to answer and return at once (microseconds; no I/O on the calling thread).

        Ends the sink exactly once, also after cancellation: then with ``fail(Cancelled)``, so
        that a cut answer never looks complete. May raise ``EngineError`` instead, here on the
        calling thread, if nothing was pushed yet; the sink is then left alone.
        """
        ...


class GeneratorEngine(Protocol):
    """The simplest shape; runs on a thread of the engine's own bounded executor."""

    def generate(self, request: EngineRequest, context: Context) -> Iterator[Chunk]:
        """Yield chunks; closed (``GeneratorExit``) at the next yield after cancellation.

        Code that waits inside should wait on ``context.token`` to hear of it at once.
        """
        ...


class AsyncGeneratorEngine(Protocol):
    """For asyncio code; runs on one event loop thread shared by all such engines."""

    def generate(self, request: EngineRequest, context: Context) -> AsyncIterator[Chunk]:
        """Yield chunks; its task is cancelled at once on cancellation. Must never block."""
        ...


AnyEngine: TypeAlias = Engine | GeneratorEngine | AsyncGeneratorEngine
