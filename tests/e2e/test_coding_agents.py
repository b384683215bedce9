"""Coding agents from npm do a whole turn of work against the service, and reach nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.coding_agents import AGENTS, PROMPT, WORD, folder_of_agents

ISOLATED = ("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh")
"""A network namespace with loopback only, which root may make."""


def looped(agent: str) -> dict[str, Any]:
    """One loop of ``agent``; skips where it is not installed, or can't be isolated."""
    if not (folder_of_agents() / agent).exists():
        pytest.skip(f"{agent} is not installed: npm install its package, and set CALLBOARD_AGENTS")
    if os.geteuid() or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("only root can give an agent a network of its own")
    done = subprocess.run(
        [*ISOLATED, sys.executable, "-m", "tests.e2e.coding_agents", agent],
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.timeout(200)
@pytest.mark.parametrize("agent", [*AGENTS])
def test_an_agent_runs_its_tool_and_reads_the_result(agent: str) -> None:
    result = looped(agent)

    assert result["code"] == 0, result["stderr"]
    assert WORD in result["stdout"]
    turns = [each for each in result["requests"] if PROMPT in json.dumps(each["messages"])]
    first, second = turns[0], turns[-1]
    assert first["messages"][0]["role"] == "system"
    assert "x-anthropic-billing-header" not in json.dumps(second["messages"])
    said, told = second["messages"][-2:]
    assert said["content"] == "Let me run it."
    assert said["reasoning_content"] == "I need a shell."
    assert said["tool_calls"][0]["id"] == "call_1"
    assert told["role"] == "tool"
    assert told["tool_call_id"] == "call_1"
    assert WORD in told["content"]
