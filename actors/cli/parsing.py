"""Turns arguments and environment into a command's settings, or into one helpful sentence.

Only this module knows argparse and the environment. A bad option, a bad variable or an unknown name
ends with :class:`UsageError`, which ``actors.main`` prints before it exits with 2.
"""

from __future__ import annotations

import argparse
import dataclasses
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

from actors.settings.setting import Setting
from actors.suggestion import suggestion

__all__ = [
    "ENVIRONMENT_PREFIX",
    "UsageError",
    "named_settings",
    "parse_settings",
    "unknown_variables",
    "usage",
]

ENVIRONMENT_PREFIX: Final = "CALLBOARD_"

_NOT_SETTINGS: Final = ("CALLBOARD_KEY_", "CALLBOARD_PORT_", "CALLBOARD_SERVICE_")
"""Keys of upstreams; and what Kubernetes sets for a Service named ``callboard``."""

_KUBERNETES_PORT: Final = "CALLBOARD_PORT"

S = TypeVar("S")


class UsageError(Exception):
    """The command line or the environment is wrong; the text says what and what to do."""


@dataclass(frozen=True, slots=True)
class _Option:
    """A setting with the names under which the user knows it."""

    field: str
    flag: str
    variable: str
    default: Any
    setting: Setting


def parse_settings(
    settings: type[S],
    command: str,
    description: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> S:
    """The settings of one command: options win over variables, variables over defaults.

    Raises :class:`UsageError`; prints the help and exits with 0 on ``--help``.
    """
    options = _options(settings)
    parser = _parser(options, command, description)
    given = vars(parser.parse_args(arguments))
    environment = _ours(environment)
    values = {
        option.field: _value(option, given[option.field], environment.get(option.variable))
        for option in options
    }
    return _filled(settings, values, "")


def _filled(settings: type[S], values: Mapping[str, Any], prefix: str) -> S:
    """The record ``settings`` with its groups, from the values of all options."""
    filled: dict[str, Any] = {}
    for field in dataclasses.fields(settings):  # type: ignore[arg-type]  # a dataclass by contract
        group = field.metadata.get("group")
        filled[field.name] = (
            values[prefix + field.name]
            if group is None
            else _filled(group, values, prefix + field.metadata["prefix"])
        )
    return settings(**filled)


def usage(settings: type[Any], command: str, description: str) -> str:
    """The help text of one command, as ``--help`` prints it."""
    return _parser(_options(settings), command, description).format_help()


def named_settings(settings: type[Any], prefix: str = "") -> Iterator[tuple[str, Any, Setting]]:
    """Name, default and description of each setting of a command, groups unfolded, in order."""
    for each in dataclasses.fields(settings):
        group = each.metadata.get("group")
        if group is None:
            yield prefix + each.name, each.default, each.metadata["setting"]
        else:
            yield from named_settings(group, prefix + each.metadata["prefix"])


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
    known = {option.variable for settings in classes for option in _options(settings)}
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
            variable=ENVIRONMENT_PREFIX + name.upper(),
            default=default,
            setting=setting,
        )
        for name, default, setting in named_settings(settings)
    ]


def _value(option: _Option, given: list[str] | None, variable: str | None) -> Any:
    """Check the texts that were given for ``option``, or take its default."""
    if given is not None:
        return _checked(option, given, option.flag)
    if variable:
        return _checked(option, [variable], option.variable)
    return option.default


def _checked(option: _Option, texts: list[str], source: str) -> Any:
    parse = option.setting.parse
    try:
        if option.setting.repeatable:
            return tuple(parse(part) for text in texts for part in text.split(",") if part)
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
        word = message.removeprefix("unrecognized arguments: ").split()[0].split("=")[0]
        known = [flag for action in self._actions for flag in action.option_strings]
        hint = suggestion(word, known) or f"; '{self.prog} --help' lists the options"
        return f"unknown option {word!r}{hint}"


def _parser(options: list[_Option], command: str, description: str) -> _Parser:
    parser = _Parser(
        prog=f"python -m actors.main {command}",
        description=textwrap.dedent(description).strip(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        epilog=(
            "Each option can be given as an environment variable, named in brackets; "
            "the option wins."
        ),
    )
    for option in options:
        parser.add_argument(
            option.flag,
            dest=option.field,
            metavar=option.setting.metavar,
            action=_Refused if option.setting.secret else "append",
            help=_help(option),
        )
    return parser


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
    default = f"; default {shown}" if shown not in ("", None) else ""
    text = f"{option.setting.help}{default} [{option.variable}]"
    return text.replace("%", "%%")
