"""The process under measurement: ``python -m tests.bench.subject [--etcd URL --etcd-root PREFIX]``.

It runs the product as its own composition root builds it, with the scripted engine beside echo,
and, on a second port, the very same Falcon application under stock Waitress with eight threads.
It prints one line of JSON with both ports, then answers each line of its standard input with one
line of JSON, and ends with its standard input.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import resource
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from waitress.server import create_server

from actors.service import Service
from actors.settings.serve import ServeSettings
from actors.settings.setting import EtcdSettings
from actors.supervision import CancellationToken
from tests.bench.scripted import ScriptedEngine
from tests.bench.stopwatch import Stopwatch

__all__ = ["MODEL", "STOCK_THREADS", "main"]

MODEL: Final = "scripted"
STOCK_THREADS: Final = 8
"""Waitress' own default is four; eight is what its users are told to take for a busy service."""
STOCK_CONNECTIONS: Final = 2000
"""Waitress' own default of 100 would leave the others in the listen queue."""


def main() -> None:
    """Serve until standard input ends."""
    options = _parse()
    _raise_file_limit()
    token, engine = CancellationToken(), ScriptedEngine()
    settings = ServeSettings(
        console="off",
        host="127.0.0.1",
        port=0,
        engine=("echo=echo",),
        etcd=tuple(options.etcd),
        etcd_access=EtcdSettings(root=options.etcd_root),
        drain_timeout=1.0,
    )
    service = Service.start(settings, token)
    try:
        service.http.model_manager().add_chat_completions_model(MODEL, engine)
        ports = {"ours": service.http.address[1], "stock": _serve_stock(service)}
        print(json.dumps(ports), flush=True)
        _obey(engine)
    finally:
        token.cancel()
        service.stop()
        engine.close()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--etcd", action="append", default=[])
    parser.add_argument("--etcd-root", default="")
    return parser.parse_args()


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _serve_stock(service: Service) -> int:
    """Run Waitress as anybody does, on a thread of this process; answer its port."""
    logging.getLogger("waitress").setLevel(logging.ERROR)  # it logs every request that waits
    server: Any = create_server(
        service.http.app,
        host="127.0.0.1",
        port=0,
        threads=STOCK_THREADS,
        connection_limit=STOCK_CONNECTIONS,
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=True,
    )
    threading.Thread(target=server.run, name="stock-loop", daemon=True).start()
    return int(server.effective_port)


def _obey(engine: ScriptedEngine) -> None:
    answers: dict[str, Callable[[], object]] = {
        "threads": lambda: {each.native_id: each.name for each in threading.enumerate()},
        "cancelled": lambda: engine.cancelled,
        "started": lambda: sorted(engine.started),
        "late": lambda: engine.late,
        "layers": lambda: _layers().take(),
    }
    for line in sys.stdin:
        print(json.dumps(answers[line.strip()]()), flush=True)


@functools.cache
def _layers() -> Stopwatch:
    """The stopwatch, put in place when it is asked for at first."""
    stopwatch = Stopwatch()
    stopwatch.install()
    return stopwatch


if __name__ == "__main__":
    main()
