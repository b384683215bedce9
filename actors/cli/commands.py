"""The commands, each a row: what it is for, where its code is, and which settings it has.

Modules are named and imported late: ``worker`` needs no HTTP server, ``--help`` nothing at all.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

__all__ = ["COMMANDS", "Command"]

Run: TypeAlias = Callable[[Sequence[str], Mapping[str, str]], int]


@dataclass(frozen=True, slots=True)
class Command:
    """One command. ``module`` is below ``actors.cli``, ``settings`` a class of ``actors.settings``.

    Its module has a function of the command's name, or ``run``; it takes arguments and environment
    and returns the exit code. It raises ``UsageError``.
    """

    name: str
    help: str
    module: str
    settings: str

    def load(self) -> Run:
        """What runs it; imports its module."""
        module = importlib.import_module(f"actors.cli.{self.module}")
        found: Run = getattr(module, self.name.replace("-", "_"), None) or module.run
        return found

    def settings_class(self) -> type[Any]:
        """The class of its settings; imports that alone."""
        module, _, name = self.settings.partition(":")
        found: type[Any] = getattr(importlib.import_module(f"actors.settings.{module}"), name)
        return found

    def description(self) -> str:
        """What its help says before the options; imports its module."""
        module = importlib.import_module(f"actors.cli.{self.module}")
        text: str = (
            module.DESCRIPTIONS[self.name]
            if hasattr(module, "DESCRIPTIONS")
            else module.DESCRIPTION
        )
        return text


_ROWS: Final = (
    Command(
        "serve",
        "serve models over HTTP; the command that is meant when none is given",
        "serve",
        "serve:ServeSettings",
    ),
    Command(
        "worker",
        "announce a model in etcd: one that runs elsewhere, or one hosted here",
        "worker",
        "worker:WorkerSettings",
    ),
    Command(
        "demo",
        "etcd, a small real language model and the service, all in one tree",
        "demo",
        "demo:DemoSettings",
    ),
    Command("status", "show a running front-end on one screen", "admin", "admin:StatusSettings"),
    Command("tree", "show its supervision tree", "admin", "admin:TreeSettings"),
    Command("models", "list its models", "admin", "admin:ModelsSettings"),
    Command("instances", "list the instances of a model", "admin", "admin:InstancesSettings"),
    Command(
        "requests",
        "list its last requests, or follow them",
        "follow",
        "admin:RequestsSettings",
    ),
    Command(
        "events",
        "list what happened in it, or follow that",
        "follow",
        "admin:EventsSettings",
    ),
    Command(
        "drain",
        "give an instance, or a model, no further requests",
        "operate",
        "admin:DrainSettings",
    ),
    Command("undrain", "undo drain", "operate", "admin:EverywhereSettings"),
    Command(
        "eject",
        "ask an instance only where no other is left",
        "operate",
        "admin:TargetSettings",
    ),
    Command("readmit", "take an ejected instance back", "operate", "admin:TargetSettings"),
    Command(
        "weight",
        "change an instance's share of the requests",
        "operate",
        "admin:WeightSettings",
    ),
    Command(
        "top",
        "watch it live, full screen (extra callboard[top])",
        "top",
        "admin:AdminSettings",
    ),
    Command(
        "chat",
        "talk to a model; reads stdin where that is piped",
        "chat",
        "chat:ChatSettings",
    ),
    Command(
        "bench",
        "measure a model: first token, gaps, tokens/s",
        "bench",
        "bench:BenchSettings",
    ),
    Command(
        "check-config",
        "check a file and the variables as a start would, and start nothing",
        "check_config",
        "local:CheckConfigSettings",
    ),
    Command(
        "completion",
        "print what completes commands and names in bash, zsh or fish",
        "completion",
        "local:CompletionSettings",
    ),
)

COMMANDS: Final[Mapping[str, Command]] = MappingProxyType({row.name: row for row in _ROWS})
"""Every command by its name, in the order of the help."""
