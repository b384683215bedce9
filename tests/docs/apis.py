"""Writes ``docs/reference/apis.md``, the table of endpoints, from their records.

Run ``python -m tests.docs.apis`` after changing an endpoint; a test holds page and records
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from actors.engines.builtin import ENGINES
from http_service.api.endpoints import ENDPOINTS, ApiEndpoint, relayed
from tests.docs.blocks import ROOT

__all__ = ["PAGE", "TESTED", "Client", "page"]

PAGE: Final = ROOT / "docs" / "reference" / "apis.md"


class Client(NamedTuple):
    """A client that a test runs against an endpoint: its name, the test, and a word in it."""

    name: str
    test: str
    word: str


_NPM: Final = "tests/e2e/npm/clients.cjs"
_AGENTS: Final = "tests/e2e/coding_agents.py"
_RELAYED: Final = Client(
    "openai (Python), `client.post`", "tests/http_service/api/test_relayed_endpoints.py", "sdk.post"
)


def _media(word: str) -> tuple[Client, ...]:
    return (Client("openai (Python)", "tests/http_service/test_media_client.py", word),)


TESTED: Final[Mapping[str, tuple[Client, ...]]] = {
    **{endpoint.path: (_RELAYED,) for endpoint in relayed.ENDPOINTS},
    "/v1/decisions": _media("decisions.create"),
    "/v1/audio/speech": (
        *_media("audio.speech.create"),
        Client("openai (npm)", _NPM, "audio.speech.create"),
    ),
    "/v1/audio/transcriptions": (
        *_media("audio.transcriptions.create"),
        Client("openai (npm)", _NPM, "audio.transcriptions.create"),
    ),
    "/v1/audio/translations": _media("audio.translations"),
    "/v1/images/generations": (
        *_media("images.generate"),
        Client("openai (npm)", _NPM, "images.generate"),
    ),
    "/v1/images/edits": (*_media("images.edit"), Client("openai (npm)", _NPM, "images.edit")),
    "/v1/images/variations": _media("images.create_variation"),
    "/v1/chat/completions": (
        Client("openai (Python)", "tests/http_service/test_openai_client.py", "chat.completions"),
        Client("openai (npm)", _NPM, "chat.completions.create"),
        Client("AI SDK (@ai-sdk/openai-compatible)", _NPM, "createOpenAICompatible"),
    ),
    "/v1/completions": (
        Client("openai (Python)", "tests/http_service/test_openai_client.py", ".completions."),
    ),
    "/v1/messages": (
        Client("anthropic (Python)", "tests/http_service/test_messages_client.py", "anthropic"),
        Client("@anthropic-ai/sdk (npm)", _NPM, "messages.create"),
        Client("AI SDK (@ai-sdk/anthropic)", _NPM, "createAnthropic"),
        Client("Claude Code", _AGENTS, "claude"),
    ),
    "/v1/responses": (
        Client("openai (Python)", "tests/http_service/test_responses_client.py", "responses."),
        Client("openai (npm)", _NPM, "responses.stream"),
        Client("AI SDK (@ai-sdk/openai)", _NPM, "createOpenAI"),
        Client("Codex", _AGENTS, "codex"),
    ),
    "/v1/embeddings": (
        Client("openai (Python)", "tests/http_service/api/test_embeddings.py", "embeddings.create"),
        Client("openai (npm)", _NPM, "embeddings.create"),
    ),
}
"""The clients that each endpoint is tested with; one that is missing has a line of its own."""

NONE: Final = "no"

INTRODUCTION: Final = """\
# The endpoints that models are asked on

Written from their records by `make docs`. What each of them takes and answers is in the
[HTTP API](http-api.md) and in `/openapi.json`.

- *native*: a worker's own API is passed through.
- *translated*: the worker, or the engine in this process, is asked for a chat completion.
- *in process*: the built-in engines that answer without a worker; an
  [engine of your own](../guides/engines.md) may answer any of them.
- *streamed*: in events that are made or checked here; *as it comes*: in whatever pieces the worker
  sends, events or not.
- *tested with*: the clients that our tests run against it.
"""

HEAD: Final = ("endpoint", "native", "translated", "in process", "streamed", "tested with")


def page() -> str:
    """The whole page, as it must stand in the repository."""
    rows = [HEAD, ("---",) * len(HEAD), *map(_row, ENDPOINTS)]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    return f"{INTRODUCTION}\n{table}"


def _row(endpoint: ApiEndpoint) -> tuple[str, ...]:
    engines = [name for name, engine in ENGINES.items() if endpoint.kind in engine.kinds]
    return (
        f"POST `{endpoint.path}`",
        _native(endpoint),
        NONE if endpoint.translate is None else "yes",
        _listed(engines),
        _streamed(endpoint),
        _listed(client.name for client in TESTED.get(endpoint.path, ())),
    )


def _streamed(endpoint: ApiEndpoint) -> str:
    if endpoint.media:
        return "as it comes"
    return NONE if endpoint.event is None else "yes"


def _native(endpoint: ApiEndpoint) -> str:
    if endpoint.translate is None:
        return "yes"
    return NONE if endpoint.dialect is None else f"where its entry `speaks` {endpoint.dialect}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or NONE


if __name__ == "__main__":
    PAGE.write_text(page())
