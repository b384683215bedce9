"""What a client does, in a few words: chat, stream, list models, wait for one to come or go."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from tests.support.waiting import eventually

__all__ = [
    "chat",
    "get_json",
    "get_models",
    "get_text",
    "stream_lines",
    "wait_for_model",
    "wait_without_model",
]


def get_text(url: str, timeout: float = 30.0) -> str:
    """The body of a GET that must succeed."""
    with urllib.request.urlopen(url, timeout=timeout) as response:
        body: bytes = response.read()
        return body.decode()


def get_json(url: str) -> tuple[int, Any]:
    """Status and body of a GET, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def get_models(url: str) -> list[str]:
    """The ids that ``/v1/models`` lists."""
    status, body = get_json(f"{url}/v1/models")
    assert status == 200, body
    return [each["id"] for each in body["data"]]


def wait_for_model(url: str, model: str, timeout: float = 30.0) -> float:
    """Wait until ``model`` is listed; answer the seconds it took."""
    return eventually(lambda: model in get_models(url), timeout, f"{model!r} is listed")


def wait_without_model(url: str, model: str, timeout: float = 30.0) -> float:
    """Wait until ``model`` is no longer listed; answer the seconds it took."""
    return eventually(lambda: model not in get_models(url), timeout, f"{model!r} is gone")


def chat(url: str, model: str, text: str = "hello", **options: Any) -> tuple[int, Any]:
    """Status and body of one unary chat request, whatever the status."""
    try:
        with _post(url, model, text, options) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def stream_lines(url: str, model: str, text: str = "hello", **options: Any) -> list[str]:
    """Every line of one streamed chat, up to its end."""
    with _post(url, model, text, {"stream": True, **options}) as response:
        return [line.decode().rstrip("\n") for line in response if line.strip()]


def _post(url: str, model: str, text: str, options: dict[str, Any]) -> Any:
    messages = [{"role": "user", "content": text}]
    body = json.dumps({"model": model, "messages": messages, **options}).encode()
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", body, {"content-type": "application/json"}
    )
    return urllib.request.urlopen(request, timeout=60)
