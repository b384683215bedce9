"""The settings of ``bench``. Short: one file a command."""

from __future__ import annotations

from dataclasses import dataclass

from actors import option_types
from actors.settings.chat import ModelSettings
from actors.settings.setting import setting

__all__ = ["BenchSettings"]


@dataclass(frozen=True, slots=True)
class BenchSettings(ModelSettings):
    """Settings of ``bench``."""

    concurrency: int = setting(
        4, option_types.some, "N", "how many requests run at a time", here=True, short="-c"
    )
    requests: int = setting(
        100, option_types.some, "N", "how many requests in all", here=True, short="-n"
    )
    max_tokens: int = setting(
        64, option_types.some, "N", "the longest answer of each request", here=True
    )
    prompt: str = setting(
        "Tell me a short story.", str, "TEXT", "what each request asks", here=True
    )
    timeout: float = setting(
        120.0, option_types.seconds, "SECONDS", "the longest wait for the next token", here=True
    )
    output: str = setting(
        "table",
        option_types.one_of("table", "json", "yaml"),
        "table|json|yaml",
        "how the result is printed: for people, or with every figure",
    )
