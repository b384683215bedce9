"""The settings of ``serve``.

Where one is of :class:`~http_service.HttpServiceConfig` too, it has that one's name, and a test
holds their defaults together. It is not taken from there: a worker, which needs no HTTP service,
would hold 11 MiB for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network

from actors import option_types
from actors.engines.builtin import ENGINES
from actors.engines.dialect import MIGRATION_LIMIT
from actors.settings.setting import (
    ETCD_GROUP,
    NO_ETCD_OPTIONS,
    EtcdSettings,
    config_file,
    console,
    log_format,
    port,
    setting,
    where_from,
)

__all__ = ["ServeSettings"]


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Settings of ``serve``, the front-end itself."""

    host: str = setting("0.0.0.0", option_types.host, "ADDRESS", "the address to listen on")
    port: int = port(8787, "the TCP port to listen on")
    etcd: tuple[str, ...] = setting(
        (),
        option_types.etcd_url,
        "URL[,URL…]",
        "the etcd members in which workers announce their models, as in http://10.0.0.5:2379",
        repeatable=True,
        source=True,
    )
    etcd_access: EtcdSettings = field(default=NO_ETCD_OPTIONS, metadata=ETCD_GROUP)
    discovery_dir: str = setting(
        "",
        option_types.file_path,
        "FOLDER",
        "read models from the JSON files in this folder, beside etcd or without one",
        source=True,
    )
    upstream_ca: str = setting(
        "",
        option_types.file_path,
        "FILE",
        "the PEM file of the authorities that workers' https:// servers may come from, instead of "
        "the system's; read again when it changes, as the two files below",
    )
    upstream_cert: str = setting(
        "",
        option_types.file_path,
        "FILE",
        "the PEM file of the certificate to show to https:// servers that ask for one; may hold "
        "its key",
    )
    upstream_key: str = setting(
        "", option_types.file_path, "FILE", "the PEM file of that certificate's private key"
    )
    upstream_allow: tuple[IPv4Network | IPv6Network, ...] = setting(
        (),
        option_types.network,
        "CIDR[,CIDR…]",
        "networks where announced servers may be although such addresses are refused: link-local "
        "ones and the like",
        repeatable=True,
    )
    engine: tuple[str, ...] = setting(
        (),
        option_types.engine,
        "|".join(f"{row.name}[:PATH]" if row.loads else row.name for row in ENGINES.values())
        + "[=NAME]",
        "serve a built-in engine beside the discovered models: "
        + "; ".join(f"{row.name} {row.help}" for row in ENGINES.values()),
        repeatable=True,
    )
    drain_timeout: float = setting(
        25.0,
        option_types.seconds,
        "SECONDS",
        "how long a shutdown waits for requests and streams in flight before it cuts them",
    )
    drain_grace: float = setting(
        0.0,
        option_types.seconds,
        "SECONDS",
        "how long a shutdown goes on serving new connections, with /ready at 503, before it drains",
    )
    body_limit: int = setting(
        45 * 1024 * 1024,
        option_types.byte_count,
        "BYTES",
        "the largest request body that is accepted; 512k and 45m are understood",
    )
    body_memory: int = setting(
        256 * 1024 * 1024,
        option_types.byte_count,
        "BYTES",
        "what all request bodies may hold in memory at once; beyond it they are refused with 503",
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        option_types.host_name,
        "NAME[,NAME…]",
        "names in Host to answer to, beside localhost and loopback addresses; others get 421; * is "
        "any (default: * unless --host is a loopback address)",
        repeatable=True,
    )
    api_key_file: str = setting(
        "",
        option_types.file_path,
        "PATH",
        "accept only requests with a key from this file, one a line, # begins a comment; it is "
        "read again when it changes",
    )
    operator_key_file: str = setting(
        "",
        option_types.file_path,
        "PATH",
        "the same for operators, who may also see where instances run; without any key file, "
        "clients on this machine may",
    )
    open_probes: str = setting(
        "yes",
        option_types.one_of("yes", "no"),
        "yes|no",
        "with --api-key-file: whether /live, /ready, /health and /metrics answer without a key",
    )
    responses_store: int = setting(
        0,
        option_types.byte_count_or_zero,
        "BYTES",
        "memory for the responses of /v1/responses that clients may ask for, or go on from with "
        "previous_response_id, later; the least recently used ones make room, and 0 stores none",
    )
    engine_timeout: float = setting(
        600.0,
        option_types.seconds,
        "SECONDS",
        "the longest wait for an engine or server, before its first token and between two; an "
        "entry may allow less (timeouts.first_byte, timeouts.idle)",
    )
    migration_limit: int = setting(
        MIGRATION_LIMIT,
        option_types.count,
        "N",
        "how often other instances go on with one answer whose instance died, for models whose "
        "entries say how they can (continues); 0 for never",
    )
    idle_timeout: int = setting(
        75,
        option_types.count,
        "SECONDS",
        "when to close an idle connection; keep it above the idle timeout of the load "
        "balancer in front",
    )
    connection_limit: int = setting(
        10_000,
        option_types.count,
        "COUNT",
        "open connections beyond which a new one gets 503; fewer, where the limit of open files "
        "(ulimit -Hn) is lower",
    )
    connections_per_address: int = setting(
        0,
        option_types.count,
        "COUNT",
        "connections that one client address may have open; 0 for no limit, as behind a proxy all "
        "come from its address",
    )
    console: str = console()
    metrics_prefix: str = setting(
        "callboard_frontend",
        option_types.metrics_prefix,
        "NAME",
        "what the names of all metrics begin with",
    )
    duration_buckets: tuple[float, ...] = setting(
        (),
        option_types.bucket,
        "SECONDS[,SECONDS…]",
        "the bounds of the buckets in which request durations and times to the first token are "
        "counted (default: 16 from 0.005 to 600)",
        repeatable=True,
    )
    access_log: str = setting(
        "all",
        option_types.one_of("all", "requests", "none"),
        "all|requests|none",
        "which requests get a log line; requests leaves out the probes' (/live, /ready, /health, "
        "/metrics)",
    )
    log_format: str = log_format()
    config: str = config_file()
    sources: Mapping[str, str] = where_from()

    @property
    def discovers(self) -> bool:
        """Whether models are read from some source of discovery."""
        return any(
            setting.source and getattr(self, each.name)
            for each in fields(self)
            if (setting := each.metadata.get("setting")) is not None
        )
