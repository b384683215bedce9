"""The audit: each attempt to change the service is one log line and one event, refused or not."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import falcon

from http_service.admin.access import SAFE, caller_of
from http_service.admin.event_log import INFO, WARNING, Events, Happened
from http_service.api.api_keys import ApiKeys
from http_service.api.falcon_parts import Response
from http_service.connection import HANDED_OFF

__all__ = ["Audit", "audited"]

_log: Final = logging.getLogger("http_service.audit")

STRANGER: Final = "a stranger"
"""The sender of no key that is known."""

MAX_SUBJECT: Final = 256
"""Characters of a path that are repeated: anybody may send any."""

_VERB: Final = re.compile(r":[a-z]+$")
_KEY: Final = "callboard.audit"


def audited(req: falcon.Request, before: Any, after: Any) -> dict[str, Any]:
    """Note what the request changed, for its line in the audit; returns the response's document."""
    changed = {"before": before, "after": after}
    req.env[_KEY] = changed
    return changed


class Audit:
    """Falcon middleware: writes down what was asked to be changed below ``prefix``, and by whom."""

    def __init__(self, events: Events, keys: ApiKeys | None, prefix: str) -> None:
        self._events: Final = events
        self._keys: Final = keys
        self._prefix: Final = f"{prefix}/"

    def process_response(
        self,
        req: falcon.Request,
        resp: Response,
        resource: object,
        req_succeeded: bool,  # noqa: FBT001  # Falcon's signature
    ) -> None:
        """One line and one event for a change, or for an attempt at one."""
        del resource, req_succeeded
        path = req.path
        if not path.startswith(self._prefix) or resp.stream is HANDED_OFF:
            return
        if req.method in SAFE and _VERB.search(path) is None:
            return
        caller = caller_of(req.env, self._keys)
        by = STRANGER if caller is None else caller.name
        changed: dict[str, Any] = req.env.get(_KEY, {})
        subject = path.removeprefix(self._prefix)[:MAX_SUBJECT]
        subject = subject if subject.isprintable() else ascii(subject)
        refused = resp.status_code >= 400
        text = f"{req.method} {subject}: {'refused' if refused else 'done'} ({resp.status_code})"
        facts = {"by": by, "request_id": req.context.request_id, **changed}
        _log.log(logging.WARNING if refused else logging.INFO, "%s", text, extra=facts)
        level = WARNING if refused else INFO
        self._events.put(Happened(level, "admin", subject, text, by=by, **changed))
