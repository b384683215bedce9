"""A real service with its admin API, and how to ask that."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.error import HTTPError

import pytest

from actors.service import Service
from actors.settings.serve import ServeSettings
from actors.supervision import CancellationToken
from http_service.admin.parts import PREFIX

__all__ = ["Start", "admin", "change", "events", "read"]

Start: TypeAlias = Callable[..., Service]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start services; each ends with the test."""
    running: list[tuple[Service, CancellationToken]] = []

    def begin(**settings: Any) -> Service:
        token = CancellationToken()
        given = ServeSettings(host="127.0.0.1", port=0, console="127.0.0.1:0")
        service = Service.start(replace(given, **settings), token)
        running.append((service, token))
        return service

    yield begin
    for service, token in running:
        token.cancel()
        service.stop()


def admin(service: Service) -> str:
    """Where its admin API is."""
    assert service.admin is not None
    return f"{service.admin.url}{PREFIX}"


def read(url: str, **headers: str) -> tuple[int, Any]:
    """The status and the document of a ``GET``."""
    return _asked(urllib.request.Request(url, headers=headers))


def change(url: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """The status and the document of a ``POST`` of JSON; ``_`` in a header's name is ``-``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = json.dumps({} if body is None else body).encode()
    all_headers = {"content-type": "application/json", **named}
    return _asked(urllib.request.Request(url, data, all_headers, method="POST"))


def events(service: Service, topic: str) -> list[dict[str, Any]]:
    """Its events of one topic, the newest last."""
    status, document = read(f"{admin(service)}/events")
    assert status == 200
    found: list[dict[str, Any]] = document["events"]
    return [each for each in found if each["topic"] == topic]


def _asked(request: urllib.request.Request) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)
