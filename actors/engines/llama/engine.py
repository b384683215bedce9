"""Runs a GGUF model inside this process: llama.cpp's own server, without its HTTP.

Invariants: one thread of this engine's executor per running answer, never more than llama.cpp has
slots (so that a waiting request can still be withdrawn); no exception crosses llama.cpp's
callback; the model is released only after every call into it has returned.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from actors.engines.contract import Context, EngineRequest, Kind, Sink
from actors.engines.counting import reads_text_only
from actors.engines.error_object import is_error
from actors.engines.errors import EngineError, EngineRejected, EngineUnavailable
from actors.engines.executor import BoundedExecutor
from actors.engines.llama.counting import count_at
from actors.engines.llama.embeddings import embed
from actors.engines.llama.host import LlamaHost, LlamaSettings, load_llama
from actors.engines.llama_dialect import (
    UsageSum,
    choices_of,
    is_conversation,
    llama_request,
    makes_vectors,
    prefill_of,
    with_prefill,
)
from actors.engines.refusals import error_of_object
from actors.engines.tokens import tokens_in_choices
from actors.supervision.cancellation import CancellationToken
from actors.supervision.errors import Cancelled

__all__ = ["LlamaEngine"]

_log = logging.getLogger("actors.engines.llama")

_MAX_WAITING: Final = 64
"""Requests that wait for a slot: at some seconds an answer, more would wait too long."""

_EXIT_SECONDS: Final = 10.0
"""How long the interpreter's exit waits for running answers: aborting takes 4-30 ms, but a prompt
that is being read can't be aborted, and exiting meanwhile would abort the process (SIGABRT)."""

_WHO: Final = "the model"
"""The subject of error messages."""


class LlamaEngine:
    """Answers with the model in ``model_path``, which is loaded while it is made (seconds).

    ``alias`` is its name in answers, ``n_ctx`` the tokens of context shared out among
    ``n_parallel`` slots, ``n_threads`` the threads that compute. Cancellation takes effect at the
    next token: llama.cpp can't be interrupted while it reads a prompt. With ``embedding`` it makes
    vectors too: the mean over an input's tokens. Call :meth:`close` in the end.
    Raises ``LlamaUnusable``, ``FileNotFoundError``, ``ValueError``, each saying what to do.
    """

    def __init__(
        self,
        model_path: str | Path,
        alias: str,
        *,
        n_ctx: int = 4096,
        n_parallel: int = 2,
        n_threads: int = 1,
        max_waiting: int = _MAX_WAITING,
        embedding: bool = False,
    ) -> None:
        settings = load_llama(
            model_path,
            alias,
            n_ctx=n_ctx,
            n_parallel=n_parallel,
            n_threads=n_threads,
            embedding=embedding,
        )
        self._model = _Model(LlamaHost.private(settings), settings, max_waiting)
        # Also at the interpreter's exit, before its threads are taken away.
        self._finalizer = weakref.finalize(self, self._model.close, _EXIT_SECONDS)

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Begin to answer on a thread of this engine. Raises ``EngineBusy`` when full."""
        self._model.start(request, sink, context, keep=self)

    def counts(self, request: EngineRequest) -> bool:
        """Whether it can count the prompt of ``request``: see ``CountsTokens``."""
        return self._model.counts(request)

    def count(self, request: EngineRequest, context: Context) -> int:
        """How many tokens the prompt of ``request`` has: see ``CountsTokens``."""
        return self._model.count(request, context)

    def close(self, timeout: float = 5.0) -> bool:
        """Abort what runs and release the model; True if that ended within ``timeout`` seconds."""
        return self._model.close(timeout)


class _Model:
    """The engine's inside: a separate object, so that the engine's finalizer can close it."""

    def __init__(self, host: LlamaHost, settings: LlamaSettings, max_waiting: int) -> None:
        self._host = host
        self._settings = settings
        self._closing = CancellationToken()
        self._executor = BoundedExecutor(
            "llama", max_running=settings.n_parallel, max_waiting=max_waiting
        )

    def start(
        self, request: EngineRequest, sink: Sink, context: Context, *, keep: LlamaEngine
    ) -> None:
        """``keep`` stays alive until the answer has ended, even if nothing else refers to it."""
        run = partial(self._serve, request, sink, context, keep)
        self._executor.submit(run, sink.fail, context.token)

    def counts(self, request: EngineRequest) -> bool:
        """See ``CountsTokens``."""
        talks = is_conversation(request.kind) and reads_text_only(request)
        return talks and not self._closing.cancelled

    def count(self, request: EngineRequest, context: Context) -> int:
        """See ``CountsTokens``."""
        if self._closing.cancelled:
            raise EngineUnavailable("the engine was closed")
        listener = self._host.listener
        return count_at(listener.host, listener.api_key or "", request, context)

    def close(self, timeout: float) -> bool:
        """See ``LlamaEngine.close``."""
        self._closing.cancel()
        if not self._executor.close(timeout):
            _log.warning(
                "answers are still running; the model stays loaded", extra={"timeout": timeout}
            )
            return False
        return self._host.drop(timeout)

    def _serve(
        self,
        request: EngineRequest,
        sink: Sink,
        context: Context,
        _keep: LlamaEngine,
    ) -> None:
        cancelled = self._cancelled(context)
        try:
            if makes_vectors(request.kind):
                self._embed(request, sink, cancelled)
                return
            answer = _Answer(sink, request, cancelled)
            self._generate(llama_request(request, self._settings.alias), request.kind, answer)
            answer.end()
        except BaseException as error:  # noqa: BLE001  # the sink reports whatever failed
            self._fail(error, sink, context)
        else:
            sink.finish()

    def _cancelled(self, context: Context) -> Callable[[], bool]:
        return lambda: context.token.cancelled or self._closing.cancelled

    def _embed(self, request: EngineRequest, sink: Sink, cancelled: Callable[[], bool]) -> None:
        if not self._settings.embedding:
            raise EngineRejected("this model was loaded without embeddings")
        with _in_our_words():
            document = embed(request, self._host.server.handle_embeddings, cancelled)
        sink.answer(document)

    def _generate(self, body: dict[str, Any], kind: Kind, answer: _Answer) -> None:
        server = self._host.server
        chat = is_conversation(kind)
        handle = server.handle_chat_completions if chat else server.handle_completions
        with _in_our_words():
            returned: dict[str, Any] | None = handle(body, answer.on_chunk)
        if returned is not None:
            answer.on_chunk(returned)

    def _fail(self, error: BaseException, sink: Sink, context: Context) -> None:
        if context.token.cancelled:
            error = Cancelled("the request was cancelled")
        elif self._closing.cancelled:
            error = EngineUnavailable("the engine was closed")
        elif isinstance(error, EngineError) and error.status >= 500:
            _log.error("the model failed", extra={"request_id": context.request_id})
        sink.fail(error)


@contextmanager
def _in_our_words() -> Generator[None]:
    """Turn what llama.cpp raises into ``EngineError``."""
    try:
        yield
    except ValueError as error:
        # llama.cpp's words on the request's shape: "Expected 'messages' to be an array".
        refusal = {"error": {"code": 400, "message": str(error)}}
        raise error_of_object(refusal, who=_WHO) from error
    except RuntimeError as error:
        refusal = {"error": {"code": 500, "message": str(error)}}
        raise error_of_object(refusal, who=_WHO) from error
    except TypeError as error:
        raise EngineRejected("the request can't be given to the model") from error


class _Answer:
    """One answer as llama.cpp delivers it: chunk by chunk, on one thread."""

    def __init__(self, sink: Sink, request: EngineRequest, cancelled: Callable[[], bool]) -> None:
        self._sink = sink
        self._cancelled = cancelled
        self._prefill = prefill_of(request)
        self._usage = UsageSum(choices_of(request.body))
        self._error: BaseException | None = None

    def on_chunk(self, chunk: dict[str, Any] | None) -> bool:
        """llama.cpp's callback; ``None`` is a keep-alive. True makes it stop.

        NOTE: llama.cpp swallows an exception from here and returns as if it were done.
        """
        try:
            if self._error is None and chunk is not None and not self._cancelled():
                self._push(chunk)
        except BaseException as error:  # noqa: BLE001  # recorded, and raised by end()
            self._error = error
        return self._error is not None or self._cancelled()

    def end(self) -> None:
        """Push the usage; raise what went wrong meanwhile."""
        if self._error is not None:
            raise self._error
        if self._cancelled():
            raise Cancelled("the request was cancelled")
        usage = self._usage.chunk()
        if usage is None:
            raise EngineError("the model ended without a result")
        self._sink.push(usage, 0)

    def _push(self, chunk: dict[str, Any]) -> None:
        if is_error(chunk):
            raise error_of_object(chunk, who=_WHO)
        rest = self._usage.take(chunk)
        if rest is None:
            return
        tokens = tokens_in_choices(rest)
        message = with_prefill(rest, self._prefill, sure=True) if self._prefill else rest
        self._sink.push(message, tokens)
