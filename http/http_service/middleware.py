"""What happens to every request, whatever its route: an id, one log line, errors in one shape."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from http import HTTPStatus
from random import getrandbits
from typing import Any, Final

import falcon

from http_service.access_log import LONGEST, AccessRecord, log_request
from http_service.connection import LEFT
from http_service.errors import ErrorReply, reply_for
from http_service.falcon_types import Response
from http_service.hosts import Hosts, Misdirected
from http_service.request_id import HEADER, request_id_from

__all__ = ["RequestScope", "answer_error", "log_failure"]

MESSAGE_LIMIT: Final = 200
"""Characters of a request's own path that an error repeats."""

_log: Final = logging.getLogger("http_service.requests")


class RequestScope:
    """Falcon middleware: gives each request its id, and tells the log how it ended.

    ``hosts`` are those that the service answers for; ``None`` for any.
    """

    def __init__(self, hosts: Hosts | None = None) -> None:
        self._hosts = hosts

    def process_request(self, req: falcon.Request, resp: Response) -> None:
        """Take the client's id or make one, and echo it. Raises :class:`Misdirected`."""
        # PERF: what is usual is looked up here, without a call.
        env, scope = req.env, req.context
        scope.started = time.monotonic()
        given: str | None = env.get("HTTP_X_REQUEST_ID")
        # No secret, only unlikely to come twice: the system's entropy costs ten times as much.
        made = f"{getrandbits(128):032x}" if given is None else request_id_from(given)
        scope.request_id = made
        if resp.fields is None:
            resp.set_header(HEADER, made)
        else:
            resp.fields[HEADER] = made
        hosts, host = self._hosts, env.get("HTTP_HOST")
        if hosts is not None and not (hosts.known.get(host) or hosts.allow(host)):
            raise Misdirected

    def process_response(
        self,
        req: falcon.Request,
        resp: Response,
        resource: object,
        req_succeeded: bool,  # noqa: FBT001  # Falcon's signature
    ) -> None:
        """Log the request, unless its answer is a stream that only begins now."""
        del resource, req_succeeded
        call = req.context.call
        stream = resp.stream
        if stream is not None and (stream is LEFT or call is not None):
            return
        if not req.context.request_id:  # Falcon refuses its "WEBSOCKET" before it asks us
            self.process_request(req, resp)
        record = AccessRecord(
            request_id=req.context.request_id,
            method=req.method,
            path=req.path,
            status=resp.status_code,
            elapsed_ms=round((time.monotonic() - req.context.started) * 1000, 3),
            **(call.summary() if call is not None else {}),
        )
        log_request(record)


def answer_error(
    req: falcon.Request,
    resp: falcon.Response,
    error: Exception,
    params: dict[str, Any],
) -> None:
    """Falcon's error handler for everything: the one table decides (``errors.reply_for``)."""
    del params
    reply = reply_for(error)
    if reply.status == 500:
        log_failure(error, req.context.get("request_id"), req.path)
    if isinstance(error, falcon.HTTPError) and error.description is None:
        told = f"{HTTPStatus(reply.status).phrase}: {req.method} {req.path}"[:MESSAGE_LIMIT]
        reply = replace(reply, message=told)
    write_error(resp, reply)


def log_failure(error: BaseException, request_id: str | None, path: str) -> None:
    """Log in full what no rule foresaw: its own words stay here, the client gets a fixed text."""
    _log.error(
        "a request failed unexpectedly",
        exc_info=error,
        extra={"request_id": request_id, "path": path[:LONGEST]},
    )


def write_error(resp: falcon.Response, reply: ErrorReply) -> None:
    """Make ``resp`` tell ``reply``."""
    resp.status = reply.status
    resp.content_type = falcon.MEDIA_JSON
    resp.data = reply.body()
    resp.stream = None
    for name, value in reply.headers:
        resp.set_header(name, value)
    if reply.retry_after is not None:
        resp.set_header("retry-after", str(reply.retry_after))
