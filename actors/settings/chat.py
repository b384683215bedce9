"""The settings of the commands that ask a model, of any OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from actors import option_types
from actors.settings.setting import argument, config_file, setting, where_from

__all__ = ["ChatSettings", "ModelSettings"]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Settings of every command that asks a model."""

    model: str = argument(
        option_types.model_name, "MODEL", "the model to ask", required=True, names="model"
    )
    url: str = setting(
        "http://127.0.0.1:8787/v1",
        option_types.upstream_url,
        "URL",
        "the base URL of an OpenAI-compatible server: this front-end's, or any other's",
    )
    api_key_file: str = setting(
        "",
        option_types.file_path,
        "FILE",
        "a file whose first key is sent to it, where it wants one",
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
class ChatSettings(ModelSettings):
    """Settings of ``chat``."""

    system: str = setting("", str, "TEXT", "what the model is to be, as in 'Be brief.'", here=True)
    max_tokens: int = setting(
        0, option_types.tokens, "N", "the longest answer; 0 leaves it to the server", here=True
    )
    temperature: float | None = setting(
        None, option_types.temperature, "N", "0 to 2; left to the server where not given", here=True
    )
    timeout: float = setting(
        600.0, option_types.seconds, "SECONDS", "the longest wait for the next token", here=True
    )
