"""Runs a client from npm against the service: ``python -m tests.e2e.npm_clients openai``.

The model behind it is the one of ``coding_agents``; the client's side is ``npm/clients.cjs``.
Printed is one JSON document: how the client ended, and what it made of the responses. To be run in
a network namespace with loopback only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any, Final

from actors.engines.contract import MEDIA, Kind
from actors.engines.echo import EchoEngine
from actors.engines.upstream import UpstreamEngine
from actors.supervision.cancellation import CancellationToken
from http_service import HttpService, HttpServiceConfig
from tests.e2e.coding_agents import MODEL, WORD, Script, folder_of_agents
from tests.engines.raw_server import RawServer
from tests.http_service.media_upstream import MediaUpstream

__all__ = ["CLIENTS", "run"]

CLIENT: Final = Path(__file__).with_name("npm") / "clients.cjs"
TIMEOUT: Final = 60.0
STORE: Final = 1024 * 1024

CLIENTS: Final = {
    "openai": "openai",
    "openai-media": "openai",
    "anthropic": "@anthropic-ai/sdk",
    "ai-openai": "@ai-sdk/openai",
    "ai-openai-unstored": "@ai-sdk/openai",
    "ai-anthropic": "@ai-sdk/anthropic",
    "ai-compatible": "@ai-sdk/openai-compatible",
}
"""The clients, and the package of each."""


def _say(line: str) -> dict[str, Any]:
    del line
    return {"word": WORD}


def run(client: str) -> dict[str, Any]:
    """Run ``client`` once; what came of it."""
    store = STORE if client == "ai-openai" else 0
    config = HttpServiceConfig(host="127.0.0.1", port=0, responses_store=store)
    token = CancellationToken()
    with RawServer(MediaUpstream()) as worker, HttpService(config) as service:
        manager = service.model_manager()
        manager.add_chat_completions_model(MODEL, Script("say", _say))
        manager.add_model(Kind.EMBEDDINGS, "vectors", EchoEngine())
        engine = UpstreamEngine(worker.url)
        for kind in (*MEDIA, Kind.DECISIONS):
            manager.add_model(kind, "media", engine)
        handle = service.spawn(token)
        modules = str(folder_of_agents().parent)
        done = subprocess.run(
            ["node", str(CLIENT), modules, client, service.url, WORD],
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        token.cancel()
        handle.join(10)
        engine.close()
    return {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr[-4000:]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client", choices=CLIENTS)
    print(json.dumps(run(parser.parse_args().client)))
