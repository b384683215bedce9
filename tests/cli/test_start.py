"""What a short command must not load: each module is milliseconds at every Tab and every check."""

from __future__ import annotations

import subprocess
import sys

import pytest

_RUN = """
import sys
from actors.main import run
try:
    run(sys.argv[2:])
except SystemExit:
    pass
print("LOADED", *sorted({*sys.argv[1].split(",")} & {*sys.modules}))
"""

HEAVY = "actors.engines,http_service,discovery,msgspec,structlog,grpc,asyncio,rich,textual,tomllib"


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (("--help",), f"{HEAVY},http.client,actors.cli.admin"),
        (("status", "--help"), HEAVY),
        (("completion", "words", "bash", "dr"), HEAVY),
        (("completion", "words", "bash", "drain", "--"), HEAVY),
        (("tree", "--admin-url", "http://127.0.0.1:1"), HEAVY),
        (("top",), HEAVY),
    ],
)
def test_a_command_that_asks_loads_no_server(arguments: tuple[str, ...], unused: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUN, unused, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1].split() == ["LOADED"], done.stderr
