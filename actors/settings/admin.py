"""The settings of the commands that read and operate a running front-end by its admin API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actors import option_types
from actors.settings.setting import argument, config_file, flag, setting, where_from

__all__ = [
    "AdminSettings",
    "DrainSettings",
    "EventsSettings",
    "EverywhereSettings",
    "InstancesSettings",
    "ModelsSettings",
    "PrintedSettings",
    "RequestsSettings",
    "StatusSettings",
    "TargetSettings",
    "TreeSettings",
    "WeightSettings",
]


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Settings of every command that asks a running front-end's admin API."""

    admin_url: str = setting(
        "http://127.0.0.1:8788",
        option_types.admin_url,
        "URL",
        "where the admin API of the front-end is: its --console",
    )
    admin_key_file: str = setting(
        "",
        option_types.file_path,
        "FILE",
        "a file whose first key is an operator's, where the front-end has --operator-key-file",
    )
    profile: str = setting(
        "",
        option_types.profile,
        "NAME",
        "take what is not given from [profiles.NAME] of the file",
    )
    config: str = config_file()
    sources: Mapping[str, str] = where_from()


@dataclass(frozen=True, slots=True)
class PrintedSettings(AdminSettings):
    """Settings of every such command that prints its answer."""

    output: str = setting(
        "table",
        option_types.one_of("table", "json", "yaml"),
        "table|json|yaml",
        "how the answer is printed: for people, or the admin API's own document",
    )


@dataclass(frozen=True, slots=True)
class StatusSettings(PrintedSettings):
    """Settings of ``status``."""

    url: str = setting(
        "http://127.0.0.1:8787/v1",
        option_types.upstream_url,
        "URL",
        "with --ready: the base URL of the front-end's API",
    )
    api_key_file: str = setting(
        "",
        option_types.file_path,
        "FILE",
        "with --ready: a file whose first key is sent, with --open-probes no",
    )
    ready: bool = flag("ask --url whether it is ready, which needs no --console")
    quiet: bool = flag("print nothing on stdout: the exit code says it")


@dataclass(frozen=True, slots=True)
class TreeSettings(PrintedSettings):
    """Settings of ``tree``."""

    watch: bool = flag("show it again whenever it changes, until Ctrl-C")


@dataclass(frozen=True, slots=True)
class ModelsSettings(PrintedSettings):
    """Settings of ``models``."""

    pattern: str = argument(
        str, "PATTERN", "only models whose name holds this, or matches it, as in 'llama-*'"
    )


@dataclass(frozen=True, slots=True)
class InstancesSettings(PrintedSettings):
    """Settings of ``instances``."""

    model: str = argument(
        option_types.model_name, "MODEL", "the model", required=True, names="model"
    )


@dataclass(frozen=True, slots=True)
class TargetSettings(PrintedSettings):
    """Settings of ``eject`` and ``readmit``."""

    target: str = argument(
        option_types.target,
        "MODEL[#INSTANCE]",
        "one instance, or all of the model",
        required=True,
        names="instance",
    )


@dataclass(frozen=True, slots=True)
class EverywhereSettings(TargetSettings):
    """Settings of ``undrain``."""

    everywhere: bool = flag(
        "write it to the source of discovery, so that every front-end follows; without this it is "
        "an override of this front-end, which ends with its process"
    )


@dataclass(frozen=True, slots=True)
class DrainSettings(EverywhereSettings):
    """Settings of ``drain``."""

    wait: bool = flag("return when nothing is in flight there any more")
    timeout: float = setting(
        300.0,
        option_types.seconds,
        "SECONDS",
        "with --wait: how long; then the exit code is 1",
        here=True,
    )


@dataclass(frozen=True, slots=True)
class WeightSettings(EverywhereSettings):
    """Settings of ``weight``."""

    weight: float | None = argument(
        option_types.weight_or_announced,
        "WEIGHT",
        "the share of the model's requests, relative to its other instances, as in 0.5; "
        "announced goes back to what its worker says",
        required=True,
    )


@dataclass(frozen=True, slots=True)
class RequestsSettings(PrintedSettings):
    """Settings of ``requests``."""

    follow: bool = flag("go on with each further request, until Ctrl-C")
    status: str = setting(
        "",
        option_types.status_range,
        "STATUS",
        "only requests that ended with this status, as in 404, or 5xx for 500 to 599",
        here=True,
    )
    grep: str = setting(
        "", str, "TEXT", "only requests that hold this: a model, an instance, an id", here=True
    )
    limit: int = setting(20, option_types.count, "N", "how many of the last ones", here=True)


@dataclass(frozen=True, slots=True)
class EventsSettings(PrintedSettings):
    """Settings of ``events``."""

    follow: bool = flag("go on with each further event, until Ctrl-C")
    limit: int = setting(20, option_types.count, "N", "how many of the last ones", here=True)
