"""``worker``: announces one model in etcd for as long as this process lives.

::

    worker                 rest_for_one
    ├─ llama               LlamaServerActor, only with ``--llama``: the model, listening
    └─ registration        RegistrationActor: the entries under a lease, kept alive

Stop order is bottom to top: the model leaves etcd before it stops answering.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.commands.parsing import UsageError, parse_settings
from actors.commands.running import run_until_cancelled
from actors.engines.contract import Kind
from actors.engines.llama_model import BUNDLED_ALIAS, BUNDLED_NAME, resolve_model
from actors.engines.llama_server import LlamaServer
from actors.logs import configure_logging
from actors.settings import WorkerSettings, instance_name
from actors.supervision import CancellationToken, Child, Strategy, Supervised, Supervisor, Tree
from discovery import Endpoints, Entry
from discovery.registration import Registration
from discovery.registration_actor import registration_child

__all__ = ["DESCRIPTION", "run"]

DESCRIPTION: Final = """
Announce a model in etcd, so that every front-end that watches there serves it.

With --url, the model runs elsewhere: vLLM, SGLang, llama.cpp, anything that speaks OpenAI's API.
With --llama, this process hosts it. The announcement stands under a lease: it goes at once when the
worker is told to stop, and --ttl seconds after the worker died; if etcd loses it, it is made anew.
"""

LOAD_DEADLINE: Final = 300.0
"""Seconds that loading a model may take: gigabytes from a slow disk."""
STOP_DEADLINE: Final = 10.0
"""Seconds for the whole worker to stop; the registration needs one, the model server two."""
LOOK_AGAIN: Final = 0.2
"""Seconds between two looks whether the announcement was made, or is not wanted any more."""


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Announce until told to stop; answer the exit code. Raises ``UsageError``."""
    settings = _complete(
        parse_settings(WorkerSettings, "worker", DESCRIPTION, arguments, environment)
    )
    configure_logging(settings.log_format)
    code = run_until_cancelled(lambda token: _Worker(settings, token))
    if settings.llama:
        # A model server that still computes aborts the interpreter's exit (SIGABRT): leave before.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _complete(settings: WorkerSettings) -> WorkerSettings:
    """Fill in what follows from other settings; refuse what contradicts itself."""
    if bool(settings.url) == bool(settings.llama):
        what = "not both" if settings.url else "one of them"
        raise UsageError(f"give --url (a server that runs) or --llama (a model to host), {what}")
    model = settings.model
    if not model and settings.llama == BUNDLED_NAME:
        model = BUNDLED_ALIAS
    if not model:
        raise UsageError("give --model NAME: the name under which clients will ask for the model")
    return dataclasses.replace(settings, model=model, instance=settings.instance or instance_name())


class LlamaServerActor(Supervised):
    """Hosts a model behind llama.cpp's HTTP listener for as long as it lives.

    ``ask("url")`` answers where. The listener keeps its port across restarts of the actor, so the
    announcement stays true.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        super().__init__()
        self._settings = settings
        self._server: LlamaServer | None = None
        self._url = ""

    def on_start(self) -> None:
        """Load the model and listen. Raises ``FileNotFoundError`` or ``LlamaUnusable``."""
        settings = self._settings
        port = settings.port if self.inherited is None else self.inherited
        self._server = LlamaServer(
            resolve_model(settings.llama), settings.model, host=settings.host, port=port
        )
        self._url = self._server.start()
        self.publish(int(self._url.rsplit(":", 1)[1].split("/")[0]))

    def on_receive(self, message: Any) -> str:
        """Answer the base URL, whatever was asked."""
        del message
        return self._url

    def on_stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()


class _Worker:
    """The tree of this command."""

    def __init__(self, settings: WorkerSettings, token: CancellationToken) -> None:
        self._settings = settings
        self._token = token
        self._gave_up: str | None = None
        self._tree = _start_tree(settings)
        self._tree.on_exit(self._on_exit)
        self._url = settings.url or self._tree.address("llama").ask("url", timeout=STOP_DEADLINE)
        self._registration = _registration(settings, self._url)
        self._tree.start_child(registration_child(self._registration))

    def announce(self) -> None:
        """Wait until the entries stand in etcd, then say so."""
        while not self._registration.wait_registered(LOOK_AGAIN):
            if self._token.cancelled:
                return
        kinds = " and ".join(self._settings.type)
        print(f"announced {self._settings.model} ({kinds}) at {self._url}", flush=True)

    def stop(self) -> str | None:
        """Stop the tree, its last child first."""
        self._tree.stop(timeout=STOP_DEADLINE)
        return self._gave_up

    def _on_exit(self, why: object) -> None:
        if not self._token.cancelled:
            self._gave_up = f"the worker's supervision tree gave up: {why}"
        self._token.cancel()


def _start_tree(settings: WorkerSettings) -> Tree:
    children: list[Child] = []
    if settings.llama:
        children.append(
            Child(
                "llama",
                lambda: LlamaServerActor.start(settings),
                start_within=LOAD_DEADLINE,
                hand_over=True,
            )
        )
    return Supervisor.start(*children, name="worker", strategy=Strategy.REST_FOR_ONE)


def _registration(settings: WorkerSettings, url: str) -> Registration:
    entries = [
        Entry(
            kind=Kind(kind),
            name=settings.model,
            url=url,
            instance=settings.instance,
            unary="fold" if settings.llama else "pass",
        )
        for kind in dict.fromkeys(settings.type)
    ]
    endpoints = Endpoints.parse(settings.etcd)
    return Registration(endpoints, entries, root=settings.etcd_root, ttl=settings.ttl)
