"""``worker``: announces models in etcd, or in a folder, for as long as this process lives.

::

    worker                 rest_for_one
    ├─ llama               LlamaServerActor, only with ``--llama``: the model, listening
    └─ registration        RegistrationActor: the entries under a lease, kept alive

A stop marks the entries ``draining`` first, waits until front-ends have seen it and nothing is in
flight, and only then takes the tree down, bottom to top: the entries go before the model does.
"""

from __future__ import annotations

import dataclasses
import logging
import socket
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from actors.cli.model_server import busy_slots, wait_until_idle, wait_until_serving
from actors.cli.parsing import UsageError, parse_settings
from actors.cli.runner import run_until_cancelled
from actors.cli.speaking import AUTO, dialects_of, way_of
from actors.cli.weights import require_llama
from actors.engines.contract import TRANSLATED, Kind, generates
from actors.engines.dialect import Continues, Counter, spoken
from actors.engines.llama.host import BUNDLED_ALIAS, BUNDLED_NAME, LlamaServer, resolve_model
from actors.etcd_options import etcd_access
from actors.logs import configure_logging
from actors.settings.worker import WorkerSettings
from actors.shutdown import MARK_DRAINING, WORKER_MARGIN, worker_stop
from actors.supervision import CancellationToken, Child, Strategy, Supervised, Supervisor, Tree
from discovery import Endpoints, Entry
from discovery.directory.registration import FileRegistration
from discovery.etcd.access import EtcdAccess
from discovery.etcd.client import EtcdClient
from discovery.etcd.registration import EtcdRegistration
from discovery.loop_actor import registration_child

__all__ = ["DESCRIPTION", "check", "entries_of", "run"]

_log = logging.getLogger("actors.worker")

DESCRIPTION: Final = """
Announce models in etcd, so that every front-end that watches there serves them.

With --url, they run elsewhere: vLLM, SGLang, llama.cpp, anything that speaks OpenAI's API; they are
announced once that server answers. With --llama, this process hosts one. The announcement stands
under a lease: when the worker is told to stop it first says that it drains, then goes; it goes
--ttl seconds after the worker died; and if etcd loses it, it is made again.
"""

LOAD_DEADLINE: Final = 300.0
"""Seconds that loading a model may take: gigabytes from a slow disk."""
POLL_SECONDS: Final = 0.2
"""Seconds between two checks that the entries were registered, or that a stop was asked for."""


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Announce until it is stopped; returns the exit code. Raises ``UsageError``."""
    given = parse_settings(WorkerSettings, "worker", DESCRIPTION, arguments, environment)
    settings, access = _checked(given)
    configure_logging(settings.log_format)
    return run_until_cancelled(lambda token: _Worker(settings, access, token), _stop_time(settings))


def _checked(given: WorkerSettings) -> tuple[WorkerSettings, EtcdAccess]:
    """Complete settings, and what opens etcd; nothing is started. Raises ``UsageError``."""
    settings = _complete(given)
    access = _access(settings)
    entries_of(settings, settings.url or "http://localhost")
    return settings, access


def check(given: WorkerSettings) -> None:
    """Check all that a start checks, and start nothing. Raises ``UsageError``, ``CannotStart``."""
    settings, _ = _checked(given)
    if settings.llama:
        require_llama("--llama")
        resolve_model(settings.llama)


def _stop_time(settings: WorkerSettings) -> float:
    """Seconds within which a worker stops, its drain included."""
    drain_timeout = settings.drain_timeout if settings.llama else 0.0
    return worker_stop(settings.drain, drain_timeout)


def _complete(settings: WorkerSettings) -> WorkerSettings:
    """Fill in what follows from other settings; refuse what contradicts itself."""
    if bool(settings.url) == bool(settings.llama):
        what = "not both" if settings.url else "one of them"
        raise UsageError(f"give --url (a server that runs) or --llama (a model to host), {what}")
    models = tuple(dict.fromkeys(settings.model))
    if not models and settings.llama == BUNDLED_NAME:
        models = (BUNDLED_ALIAS,)
    if not models:
        raise UsageError("give --model NAME: the name under which clients will ask for the model")
    if settings.llama and len(models) > 1:
        raise UsageError("--llama hosts one model: give one --model, and --alias for other names")
    if AUTO in settings.speaks and (len(settings.speaks) > 1 or settings.announce == "at-once"):
        other = "other words" if len(settings.speaks) > 1 else "--announce at-once"
        raise UsageError(f"--speaks auto asks the server: leave {other} out, or say what it speaks")
    if settings.continues == AUTO and settings.announce == "at-once":
        raise UsageError(
            "--continues auto asks the server: leave --announce at-once out, or say how it goes on"
        )
    unary = settings.unary or ("fold" if settings.llama else "pass")
    speaks = settings.speaks or ((Counter.INPUT_TOKENS,) if settings.llama else ())
    continues = settings.continues or (Continues.PREFILL if settings.llama else "no")
    instance = settings.instance or _instance_name()
    return dataclasses.replace(
        settings, model=models, unary=unary, speaks=speaks, continues=continues, instance=instance
    )


def _instance_name() -> str:
    """A name for this worker that is unique, across restarts too."""
    host = socket.gethostname().split(".")[0] or "worker"
    return f"{host}-{uuid.uuid4().hex[:8]}"


def entries_of(settings: WorkerSettings, url: str) -> list[Entry]:
    """What complete settings announce. Raises :class:`UsageError`."""
    aliases = _by_model(settings, "--alias", settings.alias)
    adapters = _by_model(settings, "--adapter", settings.adapter)
    speaks = tuple(spoken(word) for word in dict.fromkeys(settings.speaks) if word != AUTO)
    fields = (text.partition("=") for text in settings.default)
    defaults = {field: orjson.loads(value) for field, _, value in fields}
    continues = None if settings.continues in {"", "no", AUTO} else Continues(settings.continues)
    try:
        return [
            Entry(
                kind=Kind(kind),
                name=model,
                url=url,
                instance=settings.instance,
                aliases=aliases[model],
                fallback=settings.fallback or None,
                max_concurrency=settings.max_concurrency or None,
                weight=settings.weight,
                unary="fold" if settings.unary == "fold" else "pass",
                speaks=speaks if kind in TRANSLATED else (),
                continues=continues if generates(Kind(kind)) else None,
                api_key_env=settings.api_key_env or None,
                api_key_header="x-api-key"
                if settings.api_key_header == "x-api-key"
                else "authorization",
                adapters=adapters[model],
                context_length=settings.context_length or None,
                max_output_tokens=settings.max_output_tokens or None,
                defaults=defaults,
            )
            for model in settings.model
            for kind in dict.fromkeys(settings.type)
        ]
    except ValueError as error:
        raise UsageError(f"this can't be announced: {error}") from None


def _by_model(
    settings: WorkerSettings, option: str, given: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Further names, each of a model, as ``option`` was given them."""
    found: dict[str, tuple[str, ...]] = dict.fromkeys(settings.model, ())
    for text in given:
        name, _, model = text.partition("=")
        if not model and len(found) > 1:
            raise UsageError(f"{option} {name}: of which model? Say {name}=NAME")
        model = model or settings.model[0]
        if model not in found:
            raise UsageError(f"{option} {text}: there is no --model {model}")
        found[model] += (name,)
    return found


def _access(settings: WorkerSettings) -> EtcdAccess:
    """What opens etcd. Raises :class:`UsageError`."""
    try:
        return etcd_access(settings)
    except ValueError as error:
        raise UsageError(str(error)) from None


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
        port = settings.port if self.restored_state is None else self.restored_state
        self._server = LlamaServer(
            resolve_model(settings.llama),
            settings.model[0],
            host=settings.host,
            port=port,
            embedding="embeddings" in settings.type,
        )
        self._url = self._server.start()
        self.save_state(int(self._url.rsplit(":", 1)[1].split("/")[0]))

    def on_receive(self, message: Any) -> str:
        """The base URL, whatever the message."""
        del message
        return self._url

    def on_stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()


class _Worker:
    """The tree of this command."""

    def __init__(
        self, settings: WorkerSettings, access: EtcdAccess, token: CancellationToken
    ) -> None:
        if settings.llama:
            require_llama("--llama")
        self._settings = settings
        self._token = token
        self._gave_up: str | None = None
        self._tree = _start_tree(settings)
        self._tree.on_exit(self._on_exit)
        self._url = settings.url or self._tree.address("llama").ask("url", timeout=WORKER_MARGIN)
        self._access = access
        self._registration: EtcdRegistration | FileRegistration | None = None

    def announce(self) -> None:
        """Wait until the server answers and its entries are announced, then say so."""
        settings = self._settings
        if settings.url and settings.announce == "answering":
            wait_until_serving(self._url, self._token)
        if AUTO in settings.speaks and not self._token.cancelled:
            settings = dataclasses.replace(settings, speaks=dialects_of(self._url))
        if settings.continues == AUTO and not self._token.cancelled:
            settings = dataclasses.replace(settings, continues=way_of(self._url) or "no")
        if self._token.cancelled:
            return
        registration = self._registration = _registration(settings, self._access, self._url)
        self._tree.start_child(registration_child(registration))
        while not registration.wait_registered(POLL_SECONDS):
            if self._token.cancelled:
                return
        kinds = " and ".join(self._settings.type)
        print(f"announced {', '.join(self._settings.model)} ({kinds}) at {self._url}", flush=True)

    def reload(self) -> None:
        """Nothing of it can change while it runs."""

    def stop(self) -> str | None:
        """Drain, then stop the tree, its last child first."""
        registration = self._registration
        if self._gave_up is None and registration is not None and registration.status.registered:
            self._drain(registration)
        self._tree.stop(timeout=WORKER_MARGIN)
        return self._gave_up

    def _drain(self, registration: EtcdRegistration | FileRegistration) -> None:
        """Mark the entries; wait until front-ends have seen it and nothing is in flight."""
        marked = registration.drain(MARK_DRAINING)
        _log.info("draining", extra={"seconds": self._settings.drain, "marked": marked})
        # Nothing ends this wait early but a second signal, which ends the process.
        CancellationToken().wait(self._settings.drain)
        if self._settings.llama:
            timeout = self._settings.drain_timeout
            if not wait_until_idle(partial(busy_slots, self._url), timeout):
                _log.warning("leaving although something may be in flight")

    def _on_exit(self, why: object) -> None:
        if not self._token.cancelled:
            self._gave_up = f"the worker's supervision tree gave up: {why}"
        self._token.cancel()


def _registration(
    settings: WorkerSettings, access: EtcdAccess, url: str
) -> EtcdRegistration | FileRegistration:
    entries = entries_of(settings, url)
    if settings.announce_dir:
        return FileRegistration(Path(settings.announce_dir), entries)
    return EtcdRegistration(
        Endpoints.parse(settings.etcd),
        entries,
        root=settings.etcd_access.root,
        ttl=settings.ttl,
        connect=partial(EtcdClient, access=access),
    )


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
