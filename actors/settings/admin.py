"""The settings of the commands that read a running front-end. Short: one file a command."""

from __future__ import annotations

from dataclasses import dataclass

from actors import option_types
from actors.settings.setting import setting

__all__ = ["AdminSettings"]


@dataclass(frozen=True, slots=True)
class AdminSettings:
    """Settings of the commands that read a running front-end's admin API."""

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
    output: str = setting(
        "table",
        option_types.one_of("table", "json"),
        "table|json",
        "how the answer is printed: for people, or the admin API's own document",
    )
