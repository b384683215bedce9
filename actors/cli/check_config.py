"""``check-config``: what a start would use, and where each value comes from; nothing is started."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from actors.cli import serve, worker
from actors.cli.client import first_key
from actors.cli.commands import COMMANDS
from actors.cli.config_file import PROFILES, SECTIONS, ConfigFile, ConfigInvalid, find, read
from actors.cli.output import document, table
from actors.cli.parsing import UsageError, filled, parse_settings, resolve, unknown_variables
from actors.cli.runner import CannotStart
from actors.cli.signals import OK
from actors.settings.admin import StatusSettings
from actors.settings.local import CheckConfigSettings
from actors.settings.setting import shown_settings

__all__ = ["DESCRIPTION", "run"]

DESCRIPTION: Final = """
Check a configuration file and the variables as a start would: names, values, certificates, key
files, the announcement. Nothing is started and no port is opened.

It prints each setting with its value and where that comes from: a file or a variable, else the
default. Each mistake is a sentence on stderr, and the exit code 2.
"""

MISTAKES: Final = 2
"""The exit code when something is wrong, as for any wrong usage."""

_CHECKS: Final[Mapping[str, Callable[[Any], object]]] = {
    "serve": serve.check,
    "worker": worker.check,
}
"""What a start of the command checks beyond each value by itself."""


@dataclass
class _Findings:
    """What was found: rows of section, name, value, source; and what is wrong."""

    rows: list[tuple[str, str, Any, str]]
    errors: list[str]


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Check and list; returns 0, or 2 if something is wrong. Raises ``UsageError``."""
    settings = parse_settings(
        CheckConfigSettings, "check-config", DESCRIPTION, arguments, environment
    )
    named = settings.file or environment.get("CALLBOARD_CONFIG", "")
    try:
        file = read(find(named))
    except ConfigInvalid as error:
        raise UsageError(str(error)) from None
    found = _Findings([], [])
    for section in SECTIONS:
        if section == "serve" or section in file.content:
            _section(found, section, file, environment)
    _profiles(found, file, environment)
    found.errors = [*dict.fromkeys(found.errors)]
    _print(found, file, settings.output)
    classes = [row.settings_class() for row in COMMANDS.values()]
    for text in (*unknown_variables(environment, classes), *found.errors):
        print(f"callboard: {text}", file=sys.stderr)
    return MISTAKES if found.errors else OK


def _section(
    found: _Findings, section: str, file: ConfigFile, environment: Mapping[str, str]
) -> None:
    """Check one command's section, and list its settings."""
    settings = COMMANDS[section].settings_class()
    parsed = resolve(settings, section, {"config": [file.path or "off"]}, environment)
    found.errors += parsed.errors
    if parsed.errors:
        return
    record = filled(settings, parsed)
    found.rows += [
        (section, name, value, source)
        for name, value, source in shown_settings(record)
        if name != "config"
    ]
    try:
        if section in _CHECKS:
            _CHECKS[section](record)
    except (UsageError, CannotStart, ValueError, OSError) as error:
        found.errors.append(f"[{section}]: {error}")


def _profiles(found: _Findings, file: ConfigFile, environment: Mapping[str, str]) -> None:
    """Check each profile, and list what stands in it."""
    try:
        names = [*file.section(PROFILES)]
    except ConfigInvalid as error:
        found.errors.append(str(error))
        return
    for name in names:
        given: Mapping[str, list[str]] = {"config": [file.path], "profile": [name]}
        # Of all commands it is this one that has every setting of a profile.
        parsed = resolve(StatusSettings, "status", given, environment)
        found.errors += [each for each in parsed.errors if each.startswith(file.path)]
        found.rows += [
            (f"{PROFILES}.{name}", key, parsed.values[key], source)
            for key, source in parsed.sources.items()
            if source == "file"
        ]
        found.errors += _key_files(parsed.values)


def _key_files(values: Mapping[str, Any]) -> Iterator[str]:
    for key in ("admin_key_file", "api_key_file"):
        try:
            first_key(values.get(key, ""), key)
        except UsageError as error:
            yield str(error)


def _print(found: _Findings, file: ConfigFile, output: str) -> None:
    if output == "table":
        mistakes = f"{len(found.errors) or 'no'} mistake{'' if len(found.errors) == 1 else 's'}"
        print(f"{file.path or 'no file'}: {mistakes}", flush=True)
        rows = [
            (section, name, _text(value), source) for section, name, value, source in found.rows
        ]
        print("\n".join(table([("SECTION", "SETTING", "VALUE", "SOURCE"), *rows])), flush=True)
        return
    names = ("section", "name", "value", "source")
    settings = [
        dict(zip(names, (*row[:2], _plain(row[2]), row[3]), strict=True)) for row in found.rows
    ]
    print(document({"file": file.path, "settings": settings, "errors": found.errors}, output))


def _plain(value: Any) -> Any:
    """``value`` as JSON has it."""
    if isinstance(value, tuple):
        return [_plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # Any by nature
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)


def _text(value: Any) -> str:
    """``value`` as a person writes it."""
    several: list[Any] = _plain(value) if isinstance(value, tuple) else [_plain(value)]
    return ",".join(map(str, several))
