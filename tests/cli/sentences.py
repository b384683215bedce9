"""Records what every command answers to wrong options and variables, and what its options are.

``tests/cli/sentences.txt`` holds it since the command line had no file and few commands: what users
have in their scripts and alerts. Run ``python -m tests.cli.sentences`` to write it again; a line
that changes or goes is a change for users, and needs a line in the CHANGELOG.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from actors.cli import worker
from actors.cli.parsing import UsageError, parse_settings
from actors.settings.admin import StatusSettings
from actors.settings.demo import DemoSettings
from actors.settings.serve import ServeSettings
from actors.settings.setting import named_settings
from actors.settings.worker import WorkerSettings

__all__ = ["RECORD", "lines"]

RECORD: Final = Path(__file__).with_name("sentences.txt")

_SETTINGS: Final[Mapping[str, type[Any]]] = {
    "serve": ServeSettings,
    "worker": WorkerSettings,
    "demo": DemoSettings,
    "status": StatusSettings,
}

_WRONG: Final = ("x y", "#", "")
"""Texts of which each checked option refuses at least one; the first of those is recorded."""

_GIVEN: Final = r"(is not one of|there is no engine 'x y': give) .*"
"""Lists of words, which may grow: engines, kinds, dialects."""

_OF_WORKER: Final = (
    "",
    "--model m",
    "--url http://h/v1",
    "--model m --url http://h/v1 --llama smollm2",
    "--model a,b --llama x.gguf",
    "--model m --url http://h/v1 --speaks auto --announce at-once",
    "--model m --url http://h/v1 --speaks auto,messages",
    "--model a,b --url http://h/v1 --alias c",
    "--model a --url http://h/v1 --alias c=b",
    "--model a --url http://h/v1 --adapter c=b",
)


def lines() -> Iterator[str]:
    """One line an option, and one a refusal: what was given, "→", what is printed."""
    for command, settings in _SETTINGS.items():
        for name, default, setting in named_settings(settings):
            if setting.here:  # of a command that asks: no script had it
                continue
            flag, variable = "--" + name.replace("_", "-"), "CALLBOARD_" + name.upper()
            metavar = "…" if {*setting.metavar} & {*"|,"} else setting.metavar
            yield f"{command} {flag} {metavar} [{variable}] = {default!r}"
            yield from [each for wrong in _WRONG for each in _refusal(command, [flag, wrong])][:1]
            given = [_refusal(command, [], {variable: wrong}) for wrong in _WRONG]
            yield from [each for refused in given for each in refused][:1]
            yield from _refusal(command, [flag])
            yield from _refusal(command, [flag[:-1] + "_", "x"])
        yield from _refusal(command, ["extra"])
        yield from _refusal(command, [""])
    for arguments in _OF_WORKER:
        try:
            worker.run(arguments.split(), {})
        except UsageError as error:
            yield f"worker {arguments} → {error}"


def _refusal(
    command: str, arguments: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[str]:
    try:
        parse_settings(_SETTINGS[command], command, "", arguments, environment)
    except UsageError as error:
        given = " ".join([*(f"{key}={value}" for key, value in environment.items()), *arguments])
        yield re.sub(_GIVEN, r"\1 …", f"{command} {given[:80]} → {error}")


if __name__ == "__main__":
    RECORD.write_text("".join(f"{line}\n" for line in lines()))
