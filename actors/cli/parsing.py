"""Turns arguments, environment and file into a command's settings, or into one helpful sentence.

Only this module knows argparse and the environment. A bad option, a bad variable or an unknown name
ends with :class:`UsageError`, which ``actors.main`` prints before it exits with 2.

Why argparse and not cyclopts, which brings TOML and completion: users' scripts know today's
sentences (``tests/cli/sentences.txt``), a secret is refused as an option, and Kubernetes' variables
count for nothing; all of that stays ours either way. It costs 9 ms at the start, cyclopts 70 ms, of
the 150 ms that ``--help`` and a completion may take.
"""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

from actors.cli.config_file import (
    IN_PROFILES,
    PROFILES,
    SECTIONS,
    ConfigFile,
    ConfigInvalid,
    find,
    read,
)
from actors.settings.setting import Setting, named_settings
from actors.suggestion import suggestion

__all__ = [
    "ENVIRONMENT_PREFIX",
    "Parsed",
    "UsageError",
    "filled",
    "parse_settings",
    "resolve",
    "unknown_variables",
    "usage",
]

ENVIRONMENT_PREFIX: Final = "CALLBOARD_"

_IN_VARIABLE: Final = (
    "Each option with a name in brackets can be given as that environment variable; the option "
    "wins."
)
_IN_FILE: Final = (
    "Each option can be given as an environment variable, named in brackets, or in the file: the "
    "option wins, then the variable, then the file."
)

_NOT_SETTINGS: Final = ("CALLBOARD_KEY_", "CALLBOARD_PORT_", "CALLBOARD_SERVICE_")
"""Keys of upstreams; and what Kubernetes sets for a Service named ``callboard``."""

_KUBERNETES_PORT: Final = "CALLBOARD_PORT"

S = TypeVar("S")


class UsageError(Exception):
    """The command line or the environment is wrong; the text says what and what to do."""


@dataclass(frozen=True, slots=True)
class _Option:
    """A setting with the names under which the user knows it; ``variable`` is "" for none."""

    field: str
    flag: str
    variable: str
    default: Any
    setting: Setting


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of a command's options by name, where each came from, and what is wrong."""

    values: Mapping[str, Any]
    sources: Mapping[str, str]
    errors: Sequence[str]
    file: str


def parse_settings(
    settings: type[S],
    command: str,
    description: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> S:
    """The settings of one command: option > variable > file > default.

    Raises :class:`UsageError`; prints the help and exits with 0 on ``--help``.
    """
    options = _options(settings)
    given = _given(_parser(options, command, description), arguments)
    parsed = resolve(settings, command, given, environment)
    if parsed.errors:
        raise UsageError(parsed.errors[0])
    return filled(settings, parsed)


def resolve(
    settings: type[Any],
    command: str,
    given: Mapping[str, list[str] | None],
    environment: Mapping[str, str],
) -> Parsed:
    """The values of ``command``'s settings, from the texts ``given`` by option, and all errors."""
    environment = _ours(environment)
    try:
        file, section, (texts, errors) = _from_file(settings, command, given, environment)
    except ConfigInvalid as error:
        return Parsed({}, {}, [str(error)], "")
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for option in _options(settings):
        found = [
            (given.get(option.field), "option", _named(option, command)),
            (_in(environment, option.variable), "variable", option.variable),
            (texts.get(option.field), "file", f"{file.path}: [{section}] {option.field}"),
        ]
        values[option.field] = option.default
        for told, source, name in found:
            if told is not None:
                sources[option.field] = source
                try:
                    values[option.field] = _checked(option, told, name)
                except UsageError as error:
                    errors.append(str(error))
                break
        else:
            if option.setting.required:
                what = option.setting.metavar
                errors.append(f"{command} needs a {what}: {command} {what}")
    return Parsed(values, sources, errors, file.path)


def _in(environment: Mapping[str, str], variable: str) -> list[str] | None:
    """The text of ``variable``; an empty one counts as unset."""
    text = environment.get(variable)
    return [text] if text else None


def _named(option: _Option, command: str) -> str:
    return f"{command} {option.setting.metavar}" if option.setting.argument else option.flag


def _from_file(
    settings: type[Any],
    command: str,
    given: Mapping[str, list[str] | None],
    environment: Mapping[str, str],
) -> tuple[ConfigFile, str, tuple[dict[str, list[str]], list[str]]]:
    """The file, the section that is meant, its texts and mistakes. Raises ``ConfigInvalid``."""
    known = {name: described for name, _, described in named_settings(settings)}

    def said(name: str) -> str:
        texts = given.get(name) or _in(environment, ENVIRONMENT_PREFIX + name.upper()) or [""]
        return texts[-1] if name in known else ""

    if "config" not in known:
        return ConfigFile(), "", ({}, [])
    if command in SECTIONS:
        file = read(find(said("config")))
        return file, command, file.texts(command, file.section(command), known)
    if not said("profile"):
        return ConfigFile(), "", ({}, [])
    file, profile = read(find(said("config"))), said("profile")
    table = file.profile(profile)
    # What only other commands need is theirs.
    own = {name: value for name, value in table.items() if name in known or name not in IN_PROFILES}
    allowed = {name: known[name] for name in IN_PROFILES if name in known}
    section = f"{PROFILES}.{profile}"
    return file, section, file.texts(section, own, allowed)


def filled(settings: type[S], parsed: Parsed) -> S:
    """The record ``settings`` with its groups, from ``parsed`` values without errors."""
    record = _filled(settings, parsed.values, "")
    return dataclasses.replace(record, sources=parsed.sources)  # type: ignore[type-var]  # a dataclass by contract


def _filled(settings: type[S], values: Mapping[str, Any], prefix: str) -> S:
    """The record ``settings`` with its groups, from the values of all options."""
    filled: dict[str, Any] = {}
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]  # a dataclass by contract
        group = field.metadata.get("group")
        if group is not None:
            filled[field.name] = _filled(group, values, prefix + field.metadata["prefix"])
        elif "setting" in field.metadata:
            filled[field.name] = values[prefix + field.name]
    return settings(**filled)


def usage(settings: type[Any], command: str, description: str) -> str:
    """The help text of one command, as ``--help`` prints it."""
    return _parser(_options(settings), command, description).format_help()


def _ours(environment: Mapping[str, str]) -> Mapping[str, str]:
    """``environment`` without what Kubernetes puts there for a Service named ``callboard``.

    That is ``CALLBOARD_PORT=tcp://10.0.0.7:8787``, in every pod beside it.
    """
    return {
        name: value
        for name, value in environment.items()
        if name != _KUBERNETES_PORT or not value.startswith("tcp://")
    }


def unknown_variables(environment: Mapping[str, str], classes: Iterable[type[Any]]) -> list[str]:
    """A warning for each ``CALLBOARD_`` variable that belongs to none of the ``classes``."""
    known = {each.variable for settings in classes for each in _options(settings) if each.variable}
    return [
        f"unknown variable {name} ignored{suggestion(name, known)}"
        for name in sorted(_ours(environment))
        if name.startswith(ENVIRONMENT_PREFIX)
        and not name.startswith(_NOT_SETTINGS)
        and name not in known
    ]


def _options(settings: type[Any]) -> list[_Option]:
    return [
        _Option(
            field=name,
            flag="--" + name.replace("_", "-"),
            variable="" if setting.here else ENVIRONMENT_PREFIX + name.upper(),
            default=default,
            setting=setting,
        )
        for name, default, setting in named_settings(settings)
    ]


def _checked(option: _Option, texts: list[str], source: str) -> Any:
    parse = option.setting.parse
    try:
        if option.setting.repeatable:
            parts = [text.split(",") if option.setting.commas else [text] for text in texts]
            return tuple(parse(part) for each in parts for part in each if part)
        return parse(texts[-1])
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from None


class _Parser(argparse.ArgumentParser):
    """Raises instead of exiting, and suggests the option that was meant."""

    def error(self, message: str) -> NoReturn:
        """What argparse calls on a wrong option: raises :class:`UsageError`."""
        raise UsageError(self._with_suggestion(message))

    def _with_suggestion(self, message: str) -> str:
        if not message.startswith("unrecognized arguments: "):
            return message
        word = message.removeprefix("unrecognized arguments: ").split(" ")[0].split("=")[0]
        known = [flag for action in self._actions for flag in action.option_strings]
        hint = suggestion(word, known) or f"; '{self.prog} --help' lists the options"
        return f"unknown option {word!r}{hint}"


def _given(
    parser: argparse.ArgumentParser, arguments: Sequence[str]
) -> dict[str, list[str] | None]:
    """The texts that were given for each option. Raises :class:`UsageError`."""
    found = vars(parser.parse_args(arguments))
    return {name: [each] if isinstance(each, str) else each for name, each in found.items()}


def _parser(options: list[_Option], command: str, description: str) -> _Parser:
    parser = _Parser(
        prog=f"python -m actors.main {command}",
        description=textwrap.dedent(description).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog=_IN_FILE if command in SECTIONS else _IN_VARIABLE,
    )
    for option in options:
        _add(parser, option)
    return parser


def _add(parser: _Parser, option: _Option) -> None:
    setting, text = option.setting, _help(option)
    flags = [each for each in (setting.short, option.flag) if each]
    if setting.argument:
        parser.add_argument(option.field, metavar=setting.metavar, nargs="?", help=text)
    elif setting.flag:
        parser.add_argument(
            *flags, dest=option.field, action="append_const", const="yes", help=text
        )
    else:
        action = _Refused if setting.secret else "append"
        parser.add_argument(
            *flags, dest=option.field, metavar=setting.metavar, action=action, help=text
        )


class _Refused(argparse.Action):
    """A secret on the command line: says how to give it instead, and does not repeat it."""

    def __call__(self, *_anything: object) -> NoReturn:
        """What argparse calls when it meets the option: raises :class:`UsageError`."""
        flag = self.option_strings[0]
        variable = ENVIRONMENT_PREFIX + self.dest.upper()
        raise UsageError(
            f"{flag}: all users of this machine can read arguments: set {variable}, "
            f"or give {flag}-file"
        )


def _help(option: _Option) -> str:
    shown = option.default
    if isinstance(shown, tuple):
        shown = ",".join(str(part) for part in shown)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]  # a default is Any by nature
    silent = option.setting.flag or shown in ("", None)
    default = "" if silent else f"; default {shown}"
    variable = f" [{option.variable}]" if option.variable else ""
    return f"{option.setting.help}{default}{variable}".replace("%", "%%")
