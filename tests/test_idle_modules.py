"""What an idle service without etcd must not hold in memory."""

from __future__ import annotations

import subprocess
import sys

_SERVE = """
import sys
from actors.cli.parsing import parse_settings
from actors.cli.serve import DESCRIPTION, start_service
from actors.settings.serve import ServeSettings
from actors.supervision import CancellationToken

arguments = ["--engine", "echo=echo", "--host", "127.0.0.1", "--port", "0"]
arguments += ["--console", "127.0.0.1:0"]
settings = parse_settings(ServeSettings, "serve", DESCRIPTION, arguments, {})
service = start_service(settings, CancellationToken())
loaded = {name.partition(".")[0] for name in sys.modules} | {*sys.modules}
service.stop()
print(*sorted(loaded & {*sys.argv[1:]}))
"""

_UNUSED = (
    "actors.discovering",
    "actors.engines.upstream",
    "actors.supervision.process_actor",
    "anyio",
    "difflib",
    "discovery",
    "etcd3",
    "google.protobuf",
    "grpc",
    "httptools",
    "importlib.metadata",
    "rich",
    "watchfiles",
    "xllamacpp",
)


def test_a_service_that_discovers_nothing_loads_nothing_for_it() -> None:
    command = [sys.executable, "-c", _SERVE, *_UNUSED]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == [], done.stderr
