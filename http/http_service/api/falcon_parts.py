"""Falcon's parts with less work for each request, and its middleware: an id, and a line in the log.

Falcon sets each of its attributes on each request, one by one. Here those that stay as they are
stand in the class, and an unusual request is made by Falcon itself. That relies on attributes which
Falcon does not document: :func:`differences` compares what ours and Falcon's own make of the same
request, and where that is not the same, Falcon's own are used.
"""

# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
# The reason: the attributes that Falcon does not document are what this file is about.

from __future__ import annotations

import io
import logging
import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import falcon
from falcon.routing import CompiledRouter

from http_service.api.endpoints import LABELS
from http_service.api.hosts import Hosts
from http_service.connection import HANDED_OFF
from http_service.errors import Misdirected
from http_service.headers import ID_HEADER, id_bits, request_id_from
from http_service.streaming.exchange import InflightRequests
from http_service.telemetry.access_log import AccessRecord, log_request
from http_service.telemetry.ended_requests import refused

__all__ = [
    "App",
    "LeanRequest",
    "LeanResponse",
    "Request",
    "RequestScope",
    "Response",
    "Router",
    "Scope",
    "differences",
    "types",
]

_UNSET: Final[Any] = getattr(falcon.Request, "_cached_if_match", None)
"""What Falcon compares with where ``None`` would be a value."""

_NO_PARAMS: Final[Mapping[str, str]] = MappingProxyType({})

_log: Final = logging.getLogger("http_service.falcon")


class Scope(falcon.Context):
    """What is known of a request beside its head (``req.context``)."""

    call: Any = None
    """What counts it, once it is a counted one."""
    request_id: str = ""
    started: float = 0.0


class Request(falcon.Request):
    """Falcon's own, with our scope."""

    context_type = Scope


class Response(falcon.Response):
    """Falcon's own."""

    fields: dict[str, str] | None = None
    """The headers by their lower-case names, where they can be written as they are."""


class LeanRequest(Request):
    """The same, with less work for a request without a query."""

    is_websocket = False
    query_string = ""
    uri_template = None
    _params: Any = _NO_PARAMS
    _media: Any = _UNSET
    _media_error = None
    _bounded_stream = None
    _cached_access_route = None
    _cached_forwarded = None
    _cached_forwarded_prefix = None
    _cached_forwarded_uri = None
    _cached_headers = None
    _cached_headers_lower = None
    _cached_prefix = None
    _cached_relative_uri = None
    _cached_uri = None

    def __init__(self, env: dict[str, Any], options: falcon.RequestOptions | None = None) -> None:
        path: str = env["PATH_INFO"] or "/"
        if options is None or env.get("QUERY_STRING") or not path.isascii():
            super().__init__(env, options)
            return
        self.env = env
        self.options = options
        self.method = env["REQUEST_METHOD"]
        if path.endswith("/") and len(path) != 1 and options.strip_url_path_trailing_slash:
            path = path[:-1]
        self.path = path
        self.content_type = env.get("CONTENT_TYPE")
        self.stream = env["wsgi.input"]
        self._wsgierrors = env["wsgi.errors"]
        self.context = Scope()


class LeanResponse(Response):
    """The same, with less work."""

    __slots__ = ("fields",)

    text: str | None = None
    _cookies = None
    _extra_headers = None
    _media = None
    _media_rendered: Any = _UNSET

    def __init__(self, options: falcon.ResponseOptions | None = None) -> None:
        self.fields = self._headers = {}
        self.options = options or falcon.ResponseOptions()
        self.status = "200 OK"
        self.stream = None
        self._data = None
        self.context = falcon.Context()


class Router(CompiledRouter):
    """Falcon's own, which takes no path apart that is a route as it stands."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, tuple[Any, Any, dict[str, Any], str | None]] = {}
        """What was found before, by the path; as many as there are routes without fields."""

    def add_route(self, uri_template: str, resource: object, **kwargs: Any) -> None:
        """See Falcon."""
        self._found.clear()
        super().add_route(uri_template, resource, **kwargs)

    def find(
        self, uri: str, req: falcon.Request | None = None
    ) -> tuple[Any, Any, dict[str, Any], str | None] | None:
        """See Falcon."""
        found = self._found.get(uri)
        if found is None:
            found = super().find(uri, req)
            if found is not None and found[3] == uri:
                self._found[uri] = found
        return found


class App(falcon.App[Request, Response]):
    """Falcon's own, which looks for no body where the connection has the response written."""

    def _get_body(
        self, resp: falcon.Response, wsgi_file_wrapper: Any = None
    ) -> tuple[Iterable[bytes], int | None]:
        # PERF: Falcon would render what is not there, and look whether it is a file.
        if resp.stream is HANDED_OFF:
            return HANDED_OFF, None
        return super()._get_body(resp, wsgi_file_wrapper)


class RequestScope:
    """Falcon middleware: gives each request its id, and logs how it ended.

    ``hosts`` are those that the service accepts; ``None`` for any. ``inflight`` says who else
    hears of a request to a model's endpoint that was refused.
    """

    def __init__(
        self, hosts: Hosts | None = None, inflight: InflightRequests | None = None
    ) -> None:
        self._hosts = hosts
        self._inflight = InflightRequests() if inflight is None else inflight

    def process_request(self, req: falcon.Request, resp: Response) -> None:
        """Take the client's id or make one, and echo it. Raises :class:`Misdirected`."""
        # PERF: the usual case is handled here, without a call.
        env, scope = req.env, req.context
        scope.started = time.monotonic()
        given: str | None = env.get("HTTP_X_REQUEST_ID")
        made = id_bits(128).to_bytes(16, "big").hex() if given is None else request_id_from(given)
        scope.request_id = made
        if resp.fields is None:
            resp.set_header(ID_HEADER, made)
        else:
            resp.fields[ID_HEADER] = made
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
        """Log the request, unless its response is a stream that only starts now."""
        del resource, req_succeeded
        call = req.context.call
        stream = resp.stream
        if stream is not None and (stream is HANDED_OFF or call is not None):
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
        note, endpoint = self._inflight.note_ended, LABELS.get(req.path)
        if note is not None and endpoint is not None:
            note(refused(record, req.context.started, endpoint))


def differences() -> list[str]:
    """What ours makes otherwise than Falcon, an attribute each; empty when all is well.

    Never raises.
    """
    try:
        options = falcon.RequestOptions()
        options.strip_url_path_trailing_slash = True
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/a/",
            "QUERY_STRING": "",
            "CONTENT_TYPE": "a/b",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
        }
        told = falcon.ResponseOptions()
        requests = falcon.Request(environ, options), LeanRequest(environ, options)
        responses = falcon.Response(told), LeanResponse(told)
        return _differing(*requests) + _differing(*responses)
    except Exception as error:  # noqa: BLE001  # a Falcon that can't even make one is another
        return [f"falcon makes no request as we know it: {type(error).__name__}: {error}"]


def types() -> tuple[type[Request], type[Response]]:
    """Ours, if this is the Falcon that we know; else Falcon's own, and a line in the log."""
    differing = differences()
    if not differing:
        return LeanRequest, LeanResponse
    _log.warning("falcon is not as we know it", extra={"differences": differing})
    return Request, Response


def _differing(stock: object, ours: object) -> list[str]:
    name = type(stock).__name__
    slots: tuple[str, ...] = type(stock).__dict__.get("__slots__", ())
    names = {*slots, *vars(stock)} - {"__dict__", "context"}
    missing = object()
    return [
        f"{name}.{each}"
        for each in sorted(names)
        if getattr(stock, each, missing) != getattr(ours, each, missing)
    ]
