"""The settings of ``demo``. Short: one file a command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actors import option_types
from actors.settings.setting import config_file, console, log_format, port, setting, where_from

__all__ = ["DemoSettings"]


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """Settings of ``demo``: etcd, a real language model and the front-end in one tree."""

    host: str = setting("127.0.0.1", option_types.host, "ADDRESS", "the address to listen on")
    port: int = port(8787, "the TCP port to listen on")
    console: str = console()
    log_format: str = log_format()
    config: str = config_file()
    sources: Mapping[str, str] = where_from()
