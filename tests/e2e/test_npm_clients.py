"""The SDKs from npm read what the service writes: OpenAI's, Anthropic's, and Vercel's AI SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.coding_agents import WORD, folder_of_agents
from tests.e2e.isolated import run_isolated
from tests.e2e.npm_clients import CLIENTS
from tests.http_service.media_upstream import PICTURE, SOUND


def made_of(client: str) -> Any:
    """What ``client`` made of the responses."""
    package = folder_of_agents().parent / CLIENTS[client]
    result = run_isolated("tests.e2e.npm_clients", client, package)
    assert result["code"] == 0, result["stderr"]
    return json.loads(result["stdout"])


@pytest.mark.parametrize(
    ("client", "kinds", "ends", "code"),
    [
        (
            "openai",
            ["reasoning", "message", "function_call"],
            ["response.created", "response.completed"],
            "model_not_found",
        ),
        (
            "anthropic",
            ["thinking", "text", "tool_use"],
            ["message_start", "message_stop"],
            "not_found_error",
        ),
    ],
)
def test_an_sdk_reads_text_tools_counts_and_errors(
    client: str, kinds: list[str], ends: list[str], code: str
) -> None:
    made = made_of(client)

    assert made["text"] == "ok"
    assert made["kinds"] == kinds
    assert made["ends"] == ends
    assert json.loads(made["arguments"]) == {"word": WORD}
    assert made["answer"] == f"It prints {WORD}"
    assert made["counted"] is True
    assert made["refused"] == [True, code]
    if client == "openai":
        assert made["chat"] == ["ok", "ok"]
        assert made["vectors"] == [True, True]


def test_an_sdk_hears_speaks_draws_and_decides() -> None:
    made = made_of("openai-media")

    assert made["heard"] == "100000 bytes for media"
    assert made["text"] == "1\n00:00 --> 00:01\nhello\n"
    assert made["events"] == ["transcript.text.delta", "transcript.text.done"]
    assert made["said"] == [len(SOUND), "audio/mpeg"]
    assert made["pictures"] == [PICTURE, PICTURE]
    assert made["decided"] == 1
    assert made["refused"] == [True, "model_not_found"]


@pytest.mark.parametrize("client", [name for name in CLIENTS if name.startswith("ai-")])
def test_the_ai_sdk_runs_its_loop_without_an_error(client: str) -> None:
    made = made_of(client)

    assert made["errors"] == []
    assert made["said"] == [WORD, WORD]  # once streamed, once whole
    assert made["answers"] == [f"It prints {WORD}"] * 2
    assert made["steps"] == [2, 2]
