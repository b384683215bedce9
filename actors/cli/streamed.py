"""One streamed chat completion, and when each piece came: what ``chat`` and ``bench`` share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from actors.cli.client import MODELS, Client, Unreachable, first_key
from actors.settings.chat import ModelSettings

__all__ = ["Answer", "model_client", "pieces", "question"]


@dataclass
class Answer:
    """What is known of one answer; times are in seconds from its request.

    ``arrivals`` is when each piece came; ``tokens`` is what the server counted, None if it did not.
    """

    arrivals: list[float] = field(default_factory=list[float])
    duration: float = 0.0
    tokens: int | None = None
    finish: str | None = None

    @property
    def first_token(self) -> float | None:
        """When the first piece came."""
        return self.arrivals[0] if self.arrivals else None

    @property
    def gaps(self) -> Sequence[float]:
        """The times between two pieces."""
        pairs = zip(self.arrivals, self.arrivals[1:], strict=False)
        return [after - before for before, after in pairs]

    @property
    def counted(self) -> int:
        """Tokens as the server counted them, else the pieces."""
        return len(self.arrivals) if self.tokens is None else self.tokens

    @property
    def speed(self) -> float | None:
        """Tokens a second, the wait for the first one left out; None for fewer than two."""
        if self.counted < 2 or len(self.arrivals) < 2:
            return None
        took = self.arrivals[-1] - self.arrivals[0]
        return (self.counted - 1) / took if took > 0 else None


def model_client(settings: ModelSettings, timeout: float) -> Client:
    """A client of the server that is to be asked. Raises ``UsageError`` for a bad key file."""
    key = first_key(settings.api_key_file, "--api-key-file")
    return Client(MODELS, settings.url, key, timeout)


def question(
    model: str, messages: Sequence[Mapping[str, str]], max_tokens: int, temperature: float | None
) -> dict[str, Any]:
    """The body of a streamed request; 0 and None leave it to the server."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [*messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if max_tokens:
        body["max_tokens"] = max_tokens
    if temperature is not None:
        body["temperature"] = temperature
    return body


def pieces(
    client: Client,
    body: Mapping[str, Any],
    answer: Answer,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[str]:
    """The pieces of text as they come; fills ``answer``. Raises :class:`Unreachable`."""
    began = clock()
    try:
        yield from _read(client, body, answer, lambda: clock() - began)
    except (LookupError, TypeError, AttributeError):
        raise Unreachable(f"{client.url} does not stream chat completions") from None
    finally:
        answer.duration = clock() - began


def _read(
    client: Client, body: Mapping[str, Any], answer: Answer, elapsed: Callable[[], float]
) -> Iterator[str]:
    for event in client.events("/chat/completions", body):
        if event.data == "[DONE]":
            return
        document = event.json()
        if "error" in document:
            told = document["error"]["message"]
            raise Unreachable(f"{client.url} broke off its answer: {told}")
        text = _text(document, answer)
        if text:
            answer.arrivals.append(elapsed())
            yield text


def _text(document: Any, answer: Answer) -> str:
    """The text of one chunk; notes the usage and how it ended."""
    if document.get("usage"):
        answer.tokens = document["usage"].get("completion_tokens", answer.tokens)
    if not document.get("choices"):
        return ""
    choice = document["choices"][0]
    answer.finish = choice.get("finish_reason") or answer.finish
    delta: Any = choice.get("delta")
    text: str = (delta.get("content") or delta.get("reasoning_content") or "") if delta else ""
    return text
