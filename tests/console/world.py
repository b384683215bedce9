"""A front-end for the console to show: real upstreams found through a folder, real requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from actors.engines.contract import Kind
from actors.registry import RegistryActor
from actors.service import Service
from actors.settings.serve import ServeSettings
from actors.supervision import CancellationToken
from actors.testing import faults
from tests.support.chat import chat, stream_lines, wait_for_model
from tests.support.slow_upstream import Handler, SlowUpstream
from tests.support.waiting import eventually

__all__ = ["Load", "Upstream", "World"]


class _ProbedHandler(Handler):
    """Says that it is there, too: an instance is probed until it has answered once."""

    def do_GET(self) -> None:  # noqa: N802  # the base class names it
        """Answer whatever is asked with an empty list."""
        self.whole({"object": "list", "data": []})


class Upstream(SlowUpstream):
    """A scripted model server, as in ``tests.support``, that also answers probes."""

    handler = _ProbedHandler


class World:
    """A service with its console, in this process; ends with the ``with`` block.

    ``folder`` is what models are announced in; each model announced here has upstreams of its own.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._folder = folder
        self._token = CancellationToken()
        given = ServeSettings(
            host="127.0.0.1", port=0, console="127.0.0.1:0", discovery_dir=str(folder)
        )
        self.service = Service.start(replace(given, **settings), self._token)
        self._upstreams: list[Upstream] = []
        self._entries = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._token.cancel()
        self.service.stop()
        for each in self._upstreams:
            each.__exit__()

    @property
    def url(self) -> str:
        """Where requests go."""
        return self.service.url

    @property
    def console(self) -> str:
        """Where the console is."""
        assert self.service.admin is not None
        return self.service.admin.url

    def announce(
        self,
        model: str,
        instances: Sequence[str],
        *,
        tokens: int = 12,
        interval: float = 0.01,
        **more: Any,
    ) -> Upstream:
        """Announce ``instances`` of ``model`` at one upstream of theirs; returns when it is served.

        It answers with ``tokens`` tokens, ``interval`` seconds apart; ``more`` is in each entry.
        """
        upstream = Upstream(tokens, interval).__enter__()
        self._upstreams.append(upstream)
        for instance in instances:
            self.entry(model, instance, upstream.url, **more)
        wait_for_model(self.url, model)
        return upstream

    def entry(self, model: str, instance: str, url: str, **more: Any) -> None:
        """Announce one instance, at ``url``."""
        entry = {"name": model, "model_type": "chat", "instance": instance, **more}
        self._entries += 1
        path = self._folder / f"{self._entries}.json"
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps({**entry, "endpoint": {"url": url}}))
        partial.rename(path)

    def kill(self) -> None:
        """Crash the registry; returns when its successor is up."""
        poison = object()
        address = self.service.tree.address("registry")
        epoch = address.epoch
        with faults.Crash(RegistryActor, when=lambda message: message is poison, times=1):
            address.tell(poison)
            eventually(lambda: address.epoch > epoch, 10, "the registry is up again")

    def instances(self, model: str) -> dict[str, str]:
        """The state of each instance of ``model`` that chats, by its id."""
        (pool,) = (
            each
            for each in self.service.http.context.state.find_pools(model)
            if each.kind is Kind.CHAT
        )
        return {each.id: each.state for each in pool.view().instances}


class Load:
    """Chats with ``models`` in turn, on threads, until the ``with`` block ends."""

    def __init__(self, url: str, models: Sequence[str], threads: int = 3) -> None:
        self._url = url
        self._models = models
        self._end = threading.Event()
        self.asked = 0
        self.failures: list[object] = []
        self._threads = [threading.Thread(target=self._run, args=(at,)) for at in range(threads)]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end.set()
        for each in self._threads:
            each.join(30)

    def _run(self, at: int) -> None:
        while not self._end.wait(0.01):
            model = self._models[(at + self.asked) % len(self._models)]
            self.asked += 1
            try:
                if self.asked % 3:
                    lines = stream_lines(self._url, model)
                    if lines[-1] != "data: [DONE]":
                        self.failures.append(lines[-3:])
                else:
                    status, body = chat(self._url, model)
                    if status != 200:
                        self.failures.append(body)
            except OSError as error:
                self.failures.append(error)
