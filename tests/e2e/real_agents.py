"""A coding agent asks a real model: ``python -m tests.e2e.real_agents claude``.

SmolLM2, behind llama.cpp's own server, can't call tools, and its context is small: the agent gets a
short system prompt and no tools. Printed is one JSON document: how the agent ended, and how often
each of the service's endpoints was asked. To be run in a network namespace with loopback only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from actors.engines.llama.host import LlamaServer, bundled_model
from actors.engines.upstream import UpstreamEngine
from actors.supervision.cancellation import CancellationToken
from http_service import HttpService, HttpServiceConfig
from tests.e2e.coding_agents import AGENTS, MODEL, folder_of_agents

__all__ = ["run"]

QUESTION: Final = "What is the capital of France?"
SHORT: Final = "You are helpful."
TIMEOUT: Final = 140.0
CONTEXT: Final = 16_384

_SHORT_CODEX: Final = """
[features]
shell_tool = false
unified_exec = false
multi_agent = false
goals = false
apps = false
plugins = false
"""


def _shortened(agent: str, command: list[str], home: Path) -> list[str]:
    """``command`` with a short prompt, and the question."""
    if agent == "claude":
        return [*command, "--system-prompt", SHORT, "--tools", ""]
    (home / "short.md").write_text(SHORT)
    config = home / ".codex" / "config.toml"
    first = f'model_instructions_file = "{home}/short.md"\nweb_search = "disabled"\n'
    config.write_text(first + config.read_text() + _SHORT_CODEX)
    return [*command[:-1], QUESTION]


def run(agent: str) -> dict[str, Any]:
    """Have ``agent`` ask once; what came of it."""
    with ExitStack() as stack:
        server = LlamaServer(bundled_model(), MODEL, n_ctx=CONTEXT)
        engine = UpstreamEngine(server.start(), unary="fold")
        stack.callback(server.close, 30)
        stack.callback(engine.close)
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(HttpService(HttpServiceConfig(host="127.0.0.1", port=0)))
        service.model_manager().add_chat_completions_model(MODEL, engine)
        token = CancellationToken()
        handle = service.spawn(token)
        command, environment = AGENTS[agent].start(folder_of_agents(), service.url, home)
        done = subprocess.run(
            _shortened(agent, command, home),
            input=QUESTION if agent == "claude" else "",
            env={"PATH": os.environ["PATH"], "HOME": str(home), **environment},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        text, _ = service.model_manager().metrics().render("text/plain")
        token.cancel()
        handle.join(10)
    return {
        "code": done.returncode,
        "stdout": done.stdout[-4000:],
        "stderr": done.stderr[-4000:],
        "metrics": [line for line in text.decode().splitlines() if "requests_total{" in line],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("agent", choices=AGENTS)
    print(json.dumps(run(parser.parse_args().agent)))
