"""Serve a model of one's own to others: an OpenAI-compatible listener inside this process."""

from __future__ import annotations

from pathlib import Path

from actors.engines.llama_host import LlamaHost, load_llama

__all__ = ["LlamaServer"]


class LlamaServer:
    """llama.cpp's HTTP server, on loopback unless told otherwise; from :meth:`start` on.

    ``port`` 0 picks a free one. With an ``api_key`` it answers only those who send it.
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

        Raises ``LlamaUnusable``: xllamacpp missing, no GGUF model, port in use.
        """
        if self._running is not None:
            raise RuntimeError("this LlamaServer runs already: make another one")
        self._running = LlamaHost.listening(self._settings, self._host, self._port, self._api_key)
        return f"{self._running.address}/v1"

    def close(self, timeout: float = 2.0) -> bool:
        """Stop listening and give the model back; True if that ended within ``timeout`` seconds.

        With requests in flight llama.cpp takes 30 s and more (reference: its own loop waits for
        them). A process that must end then ends itself: its exit code is not to be trusted.
        """
        running, self._running = self._running, None
        return running is None or running.drop(timeout)
