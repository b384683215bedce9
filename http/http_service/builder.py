"""The builder of the reference API: settings by chained calls, checked once, at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from http_service.config import HttpServiceConfig

__all__ = ["HttpServiceConfigBuilder"]

Built = TypeVar("Built")


class HttpServiceConfigBuilder(Generic[Built]):
    """Collects settings; what is not set keeps the default of :class:`HttpServiceConfig`.

    Made by ``HttpService.builder()``. Each setter returns the builder itself, and nothing is
    checked before :meth:`build`.
    """

    def __init__(self, finish: Callable[[HttpServiceConfig], Built]) -> None:
        self._finish = finish
        self._settings: dict[str, Any] = {}

    def port(self, port: int) -> Self:
        """The TCP port; 0 lets the system pick one."""
        return self._set("port", port)

    def host(self, host: str) -> Self:
        """The address or name of the interface to listen on."""
        return self._set("host", host)

    def enable_chat_endpoints(self, enable: bool) -> Self:  # noqa: FBT001  # the reference API's signature
        """Whether ``/v1/chat/completions`` is routed."""
        return self._set("enable_chat_endpoints", enable)

    def enable_cmpl_endpoints(self, enable: bool) -> Self:  # noqa: FBT001  # the reference API's signature
        """Whether ``/v1/completions`` is routed."""
        return self._set("enable_cmpl_endpoints", enable)

    def metrics_prefix(self, prefix: str) -> Self:
        """What every metric's name begins with."""
        return self._set("metrics_prefix", prefix)

    def duration_buckets(self, *bounds: float) -> Self:
        """The bounds of the histograms of durations, in seconds, rising."""
        return self._set("duration_buckets", bounds)

    def body_limit(self, size: int) -> Self:
        """The largest request body, in bytes."""
        return self._set("body_limit", size)

    def body_memory(self, size: int) -> Self:
        """How many bytes all request bodies may hold at once."""
        return self._set("body_memory", size)

    def drain_timeout(self, seconds: float) -> Self:
        """How long requests in flight may go on once the service stops."""
        return self._set("drain_timeout", seconds)

    def drain_grace(self, seconds: float) -> Self:
        """How long the service goes on after readiness turned, before it drains."""
        return self._set("drain_grace", seconds)

    def threads(self, count: int) -> Self:
        """How many worker threads there are, for requests that have to wait."""
        return self._set("threads", count)

    def ask_timeout(self, seconds: float) -> Self:
        """How long a request waits for the registry."""
        return self._set("ask_timeout", seconds)

    def engine_timeout(self, seconds: float) -> Self:
        """The longest silence of an engine that is accepted."""
        return self._set("engine_timeout", seconds)

    def idle_timeout(self, seconds: int) -> Self:
        """After how long an idle keep-alive connection is closed."""
        return self._set("idle_timeout", seconds)

    def connection_limit(self, count: int) -> Self:
        """How many connections may be open at once."""
        return self._set("connection_limit", count)

    def connections_per_address(self, count: int) -> Self:
        """How many connections may be open at once from one address; 0 means no limit."""
        return self._set("connections_per_address", count)

    def allowed_hosts(self, *names: str) -> Self:
        """The names in ``Host`` that are answered, beside this machine's own; "*" is any."""
        return self._set("allowed_hosts", names)

    def api_key_file(self, path: str) -> Self:
        """The file of the API keys, one a line."""
        return self._set("api_key_file", path)

    def operator_key_file(self, path: str) -> Self:
        """The file of the keys of those who may see where things run."""
        return self._set("operator_key_file", path)

    def open_probes(self, enable: bool) -> Self:  # noqa: FBT001  # as the other setters
        """Whether probes and metrics need no key."""
        return self._set("open_probes", enable)

    def responses_store(self, size: int) -> Self:
        """How many bytes of responses are stored at most; 0 stores none."""
        return self._set("responses_store", size)

    def build(self) -> Built:
        """The service with these settings. Raises :class:`~http_service.config.ConfigError`."""
        return self._finish(HttpServiceConfig(**self._settings))

    def _set(self, name: str, value: object) -> Self:
        self._settings[name] = value
        return self
