"""Entries whose addresses nobody should be sent to, as an operator sees them."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.callboard import Callboard
from tests.support.chat import get_json, wait_for_model
from tests.support.waiting import eventually, free_port


def entry(name: str, url: str) -> dict[str, object]:
    return {"name": name, "model_type": "chat", "endpoint": {"url": url}}


def test_refused_addresses_are_quarantined_unless_the_operator_allows_them(tmp_path: Path) -> None:
    port = free_port()
    entries = [
        entry("metadata", "http://169.254.169.254/v1"),
        entry("allowed", "http://169.254.10.7:8000/v1"),
        entry("itself", f"http://127.0.0.1:{port}/v1"),
        entry("up", "http://10.0.0.7/v1/../admin"),
        entry("good", "http://10.0.0.7:8000/v1"),
    ]
    (tmp_path / "entries.json").write_text(json.dumps(entries))
    where = ("--host", "127.0.0.1", "--port", str(port), "--discovery-dir", str(tmp_path))
    with Callboard("serve", *where, "--upstream-allow", "169.254.10.0/24,fe80::/10") as front:
        wait_for_model(front.url, "good")
        wait_for_model(front.url, "allowed")
        expected = {
            "metadata": "the address 169.254.169.254 is link-local",
            "itself": "is where this service itself listens",
            "up": "holds '.' or '..' as a step",
        }

        def quarantine() -> dict[str, str]:
            component = get_json(f"{front.url}/health")[1]["components"]["discovery"]
            found: dict[str, str] = component["quarantined"]
            return found

        eventually(lambda: len(quarantine()) == len(expected), what="the others are quarantined")
        for name, reason in expected.items():
            assert reason in quarantine()[f"/models/chat/{name}"]
