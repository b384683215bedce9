"""A started tree as a process: what is done to the process itself.

Which requests get a line: all, all but the probes', or none.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

from actors.cli.runner import OPEN_FILES, SWITCH_SECONDS, files_to_ask_for
from actors.cli.serve import access_writer
from http_service.telemetry.access_log import AccessRecord
from tests.support.callboard import Callboard
from tests.support.chat import chat, get_json

PROGRAM = """
import gc
import json
import resource
import sys
from actors.cli.runner import run_until_cancelled

class Tree:
    def __init__(self, token):
        self.token = token

    def announce(self):
        files = resource.getrlimit(resource.RLIMIT_NOFILE)
        print(json.dumps([gc.get_freeze_count(), sys.getswitchinterval(), files]), flush=True)
        self.token.cancel()

    def stop(self):
        return None

raise SystemExit(run_until_cancelled(Tree, 30.0))
"""


Seen = tuple[int, float, tuple[int, int]]
"""Objects out of the collector's sight, the interpreter's switch interval, limits of open files."""


def run_as(program: str) -> Seen:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    frozen, interval, (soft, hard) = json.loads(done.stdout)
    return frozen, interval, (soft, hard)


@pytest.fixture(scope="module")
def seen() -> Seen:
    """What a command finds when it has started."""
    return run_as(PROGRAM)


def test_what_lives_as_long_as_the_process_is_not_collected_again_and_again(
    seen: Seen,
) -> None:
    assert seen[0] > 10_000


def test_engines_that_compute_in_python_give_way_soon(seen: Seen) -> None:
    assert seen[1] <= SWITCH_SECONDS < sys.getswitchinterval()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((256, 2_000), (2_000, 2_000)),  # below what is enough: all that is allowed
        ((2_000, 2_000), (2_000, 2_000)),
    ],
)
def test_it_takes_as_many_open_files_as_it_may(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    """Shells and systemd begin with 1,024: connections would be refused at a few hundred."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, {before})"
    assert run_as(f"{limit}\n{PROGRAM}")[2] == after


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ((1_024, 4_096), 4_096),
        ((1_024, 1 << 30), OPEN_FILES),  # as containers have it
        ((1_024, resource.RLIM_INFINITY), OPEN_FILES),
        ((100_000, 1 << 30), None),  # more than enough: left alone
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
    ],
)
def test_how_many_open_files_are_asked_for(limits: tuple[int, int], wanted: int | None) -> None:
    assert files_to_ask_for(*limits) == wanted


CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("which", "written"),
    [
        ("all", [CHAT, "/ready", "/metrics", "/v1/models"]),
        ("requests", [CHAT, "/v1/models"]),
        ("none", []),
    ],
)
def test_lines_are_written_for_what_was_asked_for(which: str, written: list[str]) -> None:
    seen: list[str] = []
    write = access_writer(which, lambda record: seen.append(record.path))
    for path in (CHAT, "/ready", "/metrics", "/v1/models"):
        write(AccessRecord("r", "GET", path, 200, 1.0))
    assert seen == written


def test_probes_can_be_kept_out_of_a_services_log() -> None:
    """A kubelet and a scraper ask every few seconds: those lines would hide the others."""
    at = ("--host", "127.0.0.1", "--port", "0", "--access-log", "requests")
    with Callboard(*at) as callboard:
        assert get_json(f"{callboard.url}/ready")[0] == 200
        assert chat(callboard.url, "echo")[0] == 200
        callboard.wait_for(f"POST {CHAT} 200")
        assert "GET /ready" not in callboard.output
