"""Which requests get a line: all, all but the probes', or none."""

from __future__ import annotations

import pytest

from actors.cli.serve import access_writer
from http_service.telemetry.access_log import AccessRecord
from tests.support.callboard import Callboard
from tests.support.chat import chat, get_json

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
