"""Whether the OpenAPI document knows every status that the service answers in these tests."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest

from http_service.api import falcon_parts as middleware
from http_service.api.openapi import document
from http_service.api.routes import ROUTES
from http_service.server import waitress_task as task
from http_service.streaming import exchange
from http_service.telemetry.access_log import AccessRecord, log_request

__all__ = ["noting_answers", "undocumented"]

CLIENT_GONE = 499
"""Is logged and counted, and never sent: there was nobody left."""

_PATHS: dict[str, Any] = document(ROUTES, keyed=True, open_probes=False)["paths"]
# The longest first: a model's id may hold slashes.
_OPERATIONS = [
    (re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(path))), operations)
    for path, operations in sorted(_PATHS.items(), key=lambda item: -len(item[0]))
]


def undocumented(answered: Iterable[AccessRecord]) -> list[str]:
    """The answers that the document does not tell of, for a person to read."""
    return [
        f"{each.method} {each.path}: {each.status}"
        for each in answered
        if each.status != CLIENT_GONE and not _is_told(each)
    ]


def _is_told(record: AccessRecord) -> bool:
    method = {"HEAD": "get"}.get(record.method, record.method.lower())
    found = [item for path, item in _OPERATIONS if path.fullmatch(record.path)]
    if not found or method not in found[0]:
        return True  # of no operation: the document has nothing to say
    told = found[0][method]["responses"]
    status = str(record.status)
    return status in told or f"{status[0]}XX" in told


def noting_answers(patch: pytest.MonkeyPatch) -> list[AccessRecord]:
    """The record of each answer from now on, wherever it is logged from."""
    answered: list[AccessRecord] = []

    def note(record: AccessRecord) -> None:
        answered.append(record)
        log_request(record)

    patch.setattr(exchange, "log_record", note)
    for module in (middleware, task):
        patch.setattr(module, "log_request", note)
    return answered
