"""What describes one setting, and the settings that stand in several commands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from actors import option_types

__all__ = [
    "ETCD_GROUP",
    "NO_ETCD_OPTIONS",
    "EtcdSettings",
    "Setting",
    "log_format",
    "port",
    "setting",
]


@dataclass(frozen=True, slots=True)
class Setting:
    """What the command line must know of one setting.

    ``parse`` turns text into the value, or raises ``ValueError`` with a sentence that names what is
    wrong and what is allowed. ``repeatable`` options may be given several times, or as a comma
    list. A ``secret`` is taken from its variable only: all users of a machine can read arguments.
    One of a ``source`` asks for a source of discovery (``actors.discovering.SOURCES``).
    """

    parse: Callable[[str], Any]
    metavar: str
    help: str
    repeatable: bool = False
    required: bool = False
    secret: bool = False
    source: bool = False


def setting(
    default: Any,
    parse: Callable[[str], Any],
    metavar: str,
    help_text: str,
    *,
    repeatable: bool = False,
    required: bool = False,
    secret: bool = False,
    source: bool = False,
) -> Any:
    described = Setting(parse, metavar, help_text, repeatable, required, secret, source)
    return field(default=default, repr=not secret, metadata={"setting": described})


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
    return setting(
        "text",
        option_types.one_of("text", "json"),
        "text|json",
        "how log lines on stderr look: for people, or one JSON object a line",
    )


def port(default: int, what: str) -> Any:
    return setting(default, option_types.port, "PORT", f"{what}; 0 picks a free one")
