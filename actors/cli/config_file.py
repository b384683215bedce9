"""Reads ``callboard.toml``: a section for each command that runs on, and profiles of front-ends.

::

    [serve]
    port = 8787
    etcd = ["http://10.0.0.5:2379"]

    [profiles.paris]
    admin_url = "http://10.0.0.9:8788"

A key is an option's name with ``_`` in the place of ``-``. It is checked as the option is; one that
does not exist is an error. Secrets stand in files of their own (``etcd_password_file``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from actors.settings.setting import Setting
from actors.suggestion import suggestion

__all__ = [
    "IN_PROFILES",
    "PLACES",
    "PROFILES",
    "SECTIONS",
    "ConfigFile",
    "ConfigInvalid",
    "find",
    "read",
]

PLACES: Final = ("callboard.toml", "/etc/callboard/callboard.toml")
"""Where a file is looked for if none is named; the first one that is there counts."""

SECTIONS: Final = ("serve", "worker", "demo")
"""The commands with a section of their own."""

PROFILES: Final = "profiles"
"""The section of the profiles: each says where a front-end is."""

IN_PROFILES: Final[tuple[str, ...]] = (
    "admin_url",
    "admin_key_file",
    "url",
    "api_key_file",
    "output",
)
"""The settings that a profile may hold."""

OFF: Final = "off"
"""In the place of a path: no file is read."""


class ConfigInvalid(ValueError):
    """The file can't be used; the text names the file, the key and what is allowed."""


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """A file that was read: its path as the user knows it, and its sections. Empty for none."""

    path: str = ""
    content: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def section(self, name: str) -> Mapping[str, Any]:
        """What stands in ``[name]``; nothing if there is none. Raises :class:`ConfigInvalid`."""
        return _table(self, name, self.content.get(name, {}))

    def profile(self, name: str) -> Mapping[str, Any]:
        """What stands in ``[profiles.name]``. Raises :class:`ConfigInvalid` if there is none."""
        profiles = self.section(PROFILES)
        if name not in profiles:
            where = f"{self.path} has" if self.path else "no callboard.toml is read, so there is"
            hint = suggestion(name, profiles)
            raise ConfigInvalid(f"--profile: {where} no [{PROFILES}.{name}]{hint}")
        return _table(self, f"{PROFILES}.{name}", profiles[name])

    def texts(
        self, section: str, table: Mapping[str, Any], settings: Mapping[str, Setting]
    ) -> tuple[dict[str, list[str]], list[str]]:
        """The values of ``table`` as an option would be given them, by name; and what is wrong.

        Wrong is a key that none of ``settings`` has, a secret, and a value that is neither text nor
        a number.
        """
        known = [name for name, each in settings.items() if not each.here and name != "config"]
        found: dict[str, list[str]] = {}
        errors: list[str] = []
        for key, value in table.items():
            where = f"{self.path}: [{section}] {key}"
            if key not in known:
                errors.append(f"{where} is not a setting{suggestion(key, known)}")
            elif settings[key].secret:
                told = f"secrets have files of their own: give {key}_file = the file's path"
                errors.append(f"{where}: {told}")
            else:
                try:
                    found[key] = [*_texts(value, repeatable=settings[key].repeatable)]
                except ConfigInvalid as error:
                    errors.append(f"{where}: {error}")
        return found, errors


def find(named: str) -> Path | None:
    """The file to read: ``named`` by the user, else the first of :data:`PLACES` that is there."""
    if named == OFF:
        return None
    if named:
        return Path(named)
    return next((path for path in map(Path, PLACES) if path.is_file()), None)


def read(path: Path | None) -> ConfigFile:
    """The file at ``path``; an empty one where it is None. Raises :class:`ConfigInvalid`."""
    if path is None:
        return ConfigFile()
    import tomllib  # PERF: most commands on most machines have no file

    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigInvalid(f"--config: {str(path)!r} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigInvalid(f"{path}: this is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigInvalid(f"{path}: this is not TOML: {error}") from None
    sections = (*SECTIONS, PROFILES)
    for name in content:
        if name not in sections:
            known = ", ".join(f"[{each}]" for each in sections)
            hint = suggestion(name, sections)
            raise ConfigInvalid(f"{path}: [{name}] is not a section: give {known}{hint}")
    return ConfigFile(str(path), content)


def _table(file: ConfigFile, name: str, found: Any) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise ConfigInvalid(
            f"{file.path}: {name} must be a section: write [{name}] on its own line"
        )
    return cast("dict[str, Any]", found)


def _texts(value: Any, *, repeatable: bool) -> Iterator[str]:
    if isinstance(value, list) and repeatable:
        for part in value:  # pyright: ignore[reportUnknownVariableType]  # parsed TOML
            yield from _texts(part, repeatable=False)
    elif isinstance(value, bool):
        yield "yes" if value else "no"
    elif isinstance(value, (str, int, float)):
        yield str(value)
    else:
        allowed = "text, a number, or a list of these" if repeatable else "text or a number"
        raise ConfigInvalid(f"give {allowed}")
