"""Runs a coding agent's whole loop: ``python -m tests.e2e.coding_agents claude``.

The model behind it is scripted: it thinks, speaks, calls the agent's shell, and answers when it has
the result. Printed is one JSON document: how the agent ended, and what reached the model. To be run
in a network namespace with loopback only, so that the agent can reach nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from actors.engines.contract import Context, EngineRequest, Sink
from actors.supervision.cancellation import CancellationToken
from http_service import HttpService, HttpServiceConfig
from tests.http_service.dialects.chat_streams import call, chunk, reasoning, text, usage

__all__ = ["AGENTS", "MODEL", "PROMPT", "WORD", "Script", "folder_of_agents"]

MODEL: Final = "scripted"
WORD: Final = "xylophone-4711"
PROMPT: Final = f"Run `echo {WORD}` in a shell and tell me what it prints."
TIMEOUT: Final = 100.0

_CODEX_CONFIG: Final = """
model = "{model}"
model_provider = "callboard"
[model_providers.callboard]
name = "Callboard"
base_url = "{url}/v1"
env_key = "CALLBOARD_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
"""


class Script:
    """A push engine that plays a model: a shell call first, then what the shell said."""

    def __init__(self, tool: str, arguments: Callable[[str], dict[str, Any]]) -> None:
        self._tool = tool
        self._arguments = arguments
        self.requests: list[dict[str, Any]] = []

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Answer one turn."""
        del context
        body = dict(request.body)
        self.requests.append(body)
        results = [each for each in body["messages"] if each["role"] == "tool"]
        names = [each["function"]["name"] for each in body.get("tools") or ()]
        if results:
            self._say(sink, f"It prints {results[-1]['content']}", "stop")
        elif self._tool in names:
            sink.push(reasoning("I need a shell."))
            sink.push(text("Let me run it."))
            arguments = json.dumps(self._arguments(f"echo {WORD}"))
            sink.push(call(0, arguments[:9], self._tool, "call_1"))
            sink.push(call(0, arguments[9:]))
            self._say(sink, "", "tool_calls")
        else:  # titles and the like, which agents ask for beside their work
            self._say(sink, "ok", "stop")

    def _say(self, sink: Sink, said: str, finish: str) -> None:
        if said:
            sink.push(text(said))
        sink.push(chunk({}, finish), 0)
        sink.push(usage(), 0)
        sink.finish()


def _claude(folder: Path, url: str, home: Path) -> tuple[list[str], dict[str, str]]:
    command = ["claude", "-p", "--allowedTools", "Bash(echo:*)", "--output-format", "json"]
    environment = {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "sk-none-at-all",
        "ANTHROPIC_MODEL": MODEL,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "0",
    }
    del home
    return [str(folder / command[0]), *command[1:]], environment


def _codex(folder: Path, url: str, home: Path) -> tuple[list[str], dict[str, str]]:
    config = home / ".codex"
    config.mkdir()
    (config / "config.toml").write_text(_CODEX_CONFIG.format(model=MODEL, url=url))
    command = ["exec", "--skip-git-repo-check", "-s", "danger-full-access", PROMPT]
    return [str(folder / "codex"), *command], {"CALLBOARD_KEY": "none"}


class Agent(NamedTuple):
    """How to start one, what it calls its shell, and the arguments for a line of shell."""

    start: Callable[[Path, str, Path], tuple[list[str], dict[str, str]]]
    tool: str
    arguments: Callable[[str], dict[str, Any]]


def _bash(line: str) -> dict[str, Any]:
    return {"command": line, "description": "prints a word"}


def _exec_command(line: str) -> dict[str, Any]:
    return {"cmd": line}


AGENTS: Final[Mapping[str, Agent]] = {
    "claude": Agent(_claude, "Bash", _bash),
    "codex": Agent(_codex, "exec_command", _exec_command),
}


def folder_of_agents() -> Path:
    """Where npm put the agents' programs; ``CALLBOARD_AGENTS`` names another ``node_modules``.

    What to install, and in which versions, stands in ``npm/package.json``.
    """
    cache = Path.home() / ".cache" / "callboard-clients" / "node_modules"
    return Path(os.environ.get("CALLBOARD_AGENTS", cache)) / ".bin"


def run(agent: str) -> dict[str, Any]:
    """Run one loop of ``agent``; what came of it."""
    start, tool, arguments = AGENTS[agent]
    script = Script(tool, arguments)
    token = CancellationToken()
    with (
        tempfile.TemporaryDirectory() as home,
        HttpService(HttpServiceConfig(host="127.0.0.1", port=0)) as service,
    ):
        service.model_manager().add_chat_completions_model(MODEL, script)
        handle = service.spawn(token)
        command, environment = start(folder_of_agents(), service.url, Path(home))
        path = os.environ["PATH"]
        done = subprocess.run(
            command,
            input=PROMPT if agent == "claude" else "",
            env={"PATH": path, "HOME": home, **environment},
            cwd=home,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        token.cancel()
        handle.join(10)
    return {
        "code": done.returncode,
        "stdout": done.stdout[-4000:],
        "stderr": done.stderr[-4000:],
        "requests": script.requests,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("agent", choices=AGENTS)
    print(json.dumps(run(parser.parse_args().agent)))
