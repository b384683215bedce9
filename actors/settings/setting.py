"""What describes one setting, and the settings that stand in several commands."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from actors import option_types

__all__ = [
    "DEFAULT_CONSOLE",
    "ETCD_GROUP",
    "NO_ETCD_OPTIONS",
    "EtcdSettings",
    "Setting",
    "argument",
    "config_file",
    "console",
    "flag",
    "log_format",
    "named_settings",
    "port",
    "setting",
    "shown_settings",
    "where_from",
]


@dataclass(frozen=True, slots=True)
class Setting:
    """What the command line must know of one setting.

    ``parse`` turns text into the value, or raises ``ValueError`` with a sentence that names what is
    wrong and what is allowed. ``repeatable`` options may be given several times, or as a comma
    list; without ``commas`` several times only. A ``secret`` is taken from its variable only: all
    users of a machine can read arguments. One of a ``source`` asks for a source of discovery
    (``actors.discovering.SOURCES``). A ``flag`` is true if it is given; an ``argument`` stands
    without an option; both, and what is ``here`` only, have no variable and no key in a file.
    ``short`` is a second option, as in ``-c``; ``names`` are what a shell completes it with:
    ``model`` or ``instance`` (of the service).
    """

    parse: Callable[[str], Any]
    metavar: str
    help: str
    repeatable: bool = False
    commas: bool = True
    required: bool = False
    secret: bool = False
    source: bool = False
    flag: bool = False
    argument: bool = False
    here: bool = False
    short: str = ""
    names: str = ""


def setting(
    default: Any,
    parse: Callable[[str], Any],
    metavar: str,
    help_text: str,
    **more: Any,
) -> Any:
    """A field for one setting; ``more`` are the further attributes of :class:`Setting`."""
    described = Setting(parse, metavar, help_text, **more)
    return field(default=default, repr=not described.secret, metadata={"setting": described})


def flag(help_text: str) -> Any:
    """A field that is true if its option is given."""
    return setting(False, bool, "", help_text, flag=True, here=True)  # noqa: FBT003  # a default


def argument(parse: Callable[[str], Any], metavar: str, help_text: str, **more: Any) -> Any:
    """A field for what stands in the command line without an option; "" if it is left out."""
    return setting("", parse, metavar, help_text, argument=True, here=True, **more)


def named_settings(settings: type[Any], prefix: str = "") -> Iterator[tuple[str, Any, Setting]]:
    """Name, default and description of each setting of a command, groups unfolded, in order."""
    for each in dataclasses.fields(settings):
        group = each.metadata.get("group")
        if group is not None:
            yield from named_settings(group, prefix + each.metadata["prefix"])
        elif "setting" in each.metadata:
            yield prefix + each.name, each.default, each.metadata["setting"]


def shown_settings(settings: Any) -> Iterator[tuple[str, Any, str]]:
    """Name, value and source of each setting of a command's ``settings``; secrets are masked.

    The source is ``option``, ``variable``, ``file`` or ``default``.
    """
    for name, value, described in _values(settings, ""):
        shown = "***" if described.secret and value else without_users(value)
        yield name, shown, settings.sources.get(name, "default")


def without_users(value: Any) -> Any:
    """``value``, or each of a tuple, with the user and password of a URL masked; pure."""
    if isinstance(value, tuple):
        return tuple(without_users(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]  # Any by nature
    return re.sub(r"://[^/@\s]*@", "://***@", value) if isinstance(value, str) else value


def _values(settings: Any, prefix: str) -> Iterator[tuple[str, Any, Setting]]:
    for each in dataclasses.fields(settings):
        value = getattr(settings, each.name)
        if "group" in each.metadata:
            yield from _values(value, prefix + each.metadata["prefix"])
        elif "setting" in each.metadata:
            yield prefix + each.name, value, each.metadata["setting"]


DEFAULT_CONSOLE: Final = "127.0.0.1:8788"
"""Where operators find a front-end that says nothing else."""


def console() -> Any:
    """The field for where operators are listened for."""
    return setting(
        DEFAULT_CONSOLE,
        option_types.console,
        "ADDRESS:PORT|off",
        "where to listen for operators: the console and the admin API, which callboard status, "
        "tree, models and instances read; beyond this machine only with a key file. Where nothing "
        "is said and the default is taken, there is none",
    )


def where_from() -> Any:
    """The field in which the settings say where their values come from, by name, but defaults."""
    return field(default_factory=dict[str, str], repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class EtcdSettings:
    """How to open etcd; the options are ``--etcd-root`` and so on, the same in each command."""

    root: str = setting(
        "",
        option_types.etcd_root,
        "PREFIX",
        "what stands before /models/… in etcd's keys; workers and front-ends must agree on it",
    )
    ca: str = setting(
        "",
        option_types.file_path,
        "FILE",
        "the PEM file of the authorities that etcd's certificate may come from, for https://",
    )
    cert: str = setting(
        "",
        option_types.file_path,
        "FILE",
        "the PEM file of the certificate to show to an etcd that asks for one; with --etcd-key",
    )
    key: str = setting(
        "", option_types.file_path, "FILE", "the PEM file of that certificate's private key"
    )
    user: str = setting(
        "", option_types.user_name, "NAME", "the user to etcd, where authentication is on"
    )
    password: str = setting(
        "",
        str,
        "…",
        "that user's password; only as a variable, or in --etcd-password-file",
        secret=True,
    )
    password_file: str = setting(
        "", option_types.file_path, "FILE", "a file that holds that user's password"
    )


NO_ETCD_OPTIONS: Final = EtcdSettings()
ETCD_GROUP: Final = {"group": EtcdSettings, "prefix": "etcd_"}
"""Settings that stand once for several commands, and what their options begin with."""


def log_format() -> Any:
    """``--log-format``."""
    return setting(
        "text",
        option_types.one_of("text", "json"),
        "text|json",
        "how log lines on stderr look: for people, or one JSON object a line",
    )


def port(default: int, what: str) -> Any:
    """``--port``."""
    return setting(default, option_types.port, "PORT", f"{what}; 0 picks a free one")


def config_file() -> Any:
    """``--config``."""
    return setting(
        "",
        option_types.file_path,
        "FILE|off",
        "the file with further settings (default: callboard.toml here, else in /etc/callboard); "
        "off reads none",
    )
