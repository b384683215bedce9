"""``serve``: the front-end itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

from actors.cli.parsing import UsageError, parse_settings
from actors.cli.runner import CannotStart, run_until_cancelled
from actors.logs import configure_logging
from actors.service import Service, check_settings, check_upstream_files, stop_time
from actors.settings.serve import ServeSettings
from actors.supervision import CancellationToken, Child
from http_service import BindFailed, ConfigError
from http_service.telemetry.access_log import AccessLogWriter, AccessRecord, set_access_log_writer

__all__ = ["DESCRIPTION", "PROBES", "access_writer", "check", "run", "start_service"]

DESCRIPTION: Final = """
Serve models over OpenAI's API: POST /v1/chat/completions and /v1/completions, GET /v1/models.

Give --etcd and every model that a worker announces there is served within milliseconds, and leaves
when its worker does. With neither --etcd nor --engine the echo model is served, to try things.
Probes: /live, /ready, /health. Metrics: /metrics. The API as a document: /openapi.json.

SIGTERM drains: new connections are refused, requests on open ones are answered until
--drain-timeout; a second SIGTERM exits at once. SIGHUP reads the key file again, SIGQUIT logs what
every thread is doing.
"""

_HINT: Final = """\
Serving only the echo model. To serve a real one, start etcd, add --etcd http://127.0.0.1:2379 here,
and announce a model:  python -m actors.main worker --model NAME --url http://HOST:PORT/v1
('python -m actors.main demo' does all of that with a small model.)"""


PROBES: Final = frozenset({"/live", "/ready", "/health", "/metrics"})
"""Paths that machines ask for every few seconds."""

_Write: TypeAlias = Callable[[AccessRecord], object]


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serve until it is stopped; returns the exit code. Raises ``UsageError``."""
    settings = parse_settings(ServeSettings, "serve", DESCRIPTION, arguments, environment)
    _check_files(settings)
    configure_logging(settings.log_format)
    lines = AccessLogWriter(sys.stderr, settings.log_format)
    set_access_log_writer(access_writer(settings.access_log, lines.write))
    return run_until_cancelled(
        lambda token: _Serving(start_service(settings, token), settings), stop_time(settings)
    )


def check(settings: ServeSettings) -> None:
    """Check all that a start checks, and start nothing. Raises ``UsageError``."""
    _check_files(settings)
    try:
        check_settings(settings)
    except ConfigError as error:
        raise UsageError(str(error)) from None


def _check_files(settings: ServeSettings) -> None:
    """Check the certificates and passwords of etcd and upstreams. Raises ``UsageError``."""
    try:
        if settings.etcd:
            # PERF: imported late, a service without etcd does not hold discovery's modules.
            from actors.etcd_options import etcd_access

            etcd_access(settings)
        check_upstream_files(settings)
    except ValueError as error:
        raise UsageError(str(error)) from None


def start_service(
    settings: ServeSettings, token: CancellationToken, before: Sequence[Child] = ()
) -> Service:
    """:meth:`Service.start`; a taken port or a bad key file becomes :class:`CannotStart`."""
    try:
        return Service.start(settings, token, before)
    except (BindFailed, ConfigError) as error:
        raise CannotStart(str(error)) from error


class _Serving:
    """The service as a command: says where it listens."""

    def __init__(self, service: Service, settings: ServeSettings) -> None:
        self._service = service
        only_echo = not (settings.discovers or settings.engine)
        self._hint = only_echo and settings.log_format == "text"  # JSON is read by machines

    def announce(self) -> None:
        """Say where it listens; with nothing but echo, how to serve a real model."""
        if self._hint:
            print(_HINT, file=sys.stderr)
        if self._service.admin is not None:
            print(f"console on {self._service.admin.url}", flush=True)
        print(f"listening on {self._service.url}", flush=True)

    def reload(self) -> None:
        """Read the API keys again now."""
        self._service.reload()

    def stop(self) -> str | None:
        """Stop the tree, its last child first."""
        return self._service.stop()


def access_writer(which: str, write: _Write) -> _Write:
    """``write`` for ``"all"`` requests, all but probes (``"requests"``), or ``"none"``.

    Those of the admin API count as probes: a console reads it every second.

    The result may be called on any thread, once a request.
    """
    if which == "all":
        return write
    if which == "none":
        return lambda _record: None
    return lambda record: None if _is_probe(record.path) else write(record)


def _is_probe(path: str) -> bool:
    return path in PROBES or path.startswith("/admin/")
