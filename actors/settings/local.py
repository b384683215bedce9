"""The settings of the commands that start nothing and ask no front-end: check-config, completion.

Short: each has two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actors import option_types
from actors.settings.setting import argument, setting, where_from

__all__ = ["CheckConfigSettings", "CompletionSettings"]


@dataclass(frozen=True, slots=True)
class CheckConfigSettings:
    """Settings of ``check-config``."""

    file: str = argument(
        option_types.file_path,
        "FILE",
        "the file to check (default: callboard.toml here, else in /etc/callboard); off checks the "
        "variables alone",
    )
    output: str = setting(
        "table",
        option_types.one_of("table", "json", "yaml"),
        "table|json|yaml",
        "how the settings are printed",
    )
    sources: Mapping[str, str] = where_from()


@dataclass(frozen=True, slots=True)
class CompletionSettings:
    """Settings of ``completion``."""

    shell: str = argument(
        option_types.one_of("bash", "zsh", "fish"),
        "bash|zsh|fish",
        "the shell to complete in",
        required=True,
    )
    sources: Mapping[str, str] = where_from()
