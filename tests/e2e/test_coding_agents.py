"""Coding agents from npm do a whole turn of work against the service, and reach nothing else."""

from __future__ import annotations

import json

import pytest

from tests.e2e.coding_agents import AGENTS, PROMPT, WORD, folder_of_agents
from tests.e2e.isolated import run_isolated


@pytest.mark.timeout(200)
@pytest.mark.parametrize("agent", [*AGENTS])
def test_an_agent_runs_its_tool_and_reads_the_result(agent: str) -> None:
    result = run_isolated("tests.e2e.coding_agents", agent, folder_of_agents() / agent)

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


@pytest.mark.model
@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("agent", "endpoint"), [("claude", "anthropic_messages"), ("codex", "responses")]
)
def test_an_agent_is_answered_by_a_real_model(agent: str, endpoint: str) -> None:
    result = run_isolated("tests.e2e.real_agents", agent, folder_of_agents() / agent)

    assert result["code"] == 0, result["stderr"]
    asked = [line for line in result["metrics"] if f'endpoint="{endpoint}"' in line]
    assert len(asked) == len(result["metrics"]) == 1
    assert 'status="success"' in asked[0]
