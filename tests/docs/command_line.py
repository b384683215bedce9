"""Writes ``docs/reference/command-line.md`` from the commands' own help.

Run ``python -m tests.docs.command_line`` after changing an option; a test holds page and help
together.
"""

from __future__ import annotations

import importlib
import os
import re

from actors.cli.admin import COMMANDS as ADMIN_COMMANDS
from actors.cli.parsing import usage
from actors.settings.admin import AdminSettings
from actors.settings.demo import DemoSettings
from actors.settings.serve import ServeSettings
from actors.settings.worker import WorkerSettings
from tests.docs.blocks import ROOT

__all__ = ["PAGE", "page"]

PAGE = ROOT / "docs" / "reference" / "command-line.md"
COMMANDS = {
    "serve": ServeSettings,
    "worker": WorkerSettings,
    "demo": DemoSettings,
    **dict.fromkeys(ADMIN_COMMANDS, AdminSettings),
}

INTRODUCTION = """\
# The command line

`python -m actors.main [COMMAND] [OPTIONS]`; without a command, `serve` is meant. An option wins
over its environment variable (in brackets), the variable over the default.

| exit code | when |
|---|---|
| 0 | it was stopped, and drained |
| 1 | it could not start, gave up, was signalled twice, or did not stop in time; `status`: \
not ready; another command that reads the admin API: it gave no answer |
| 2 | the command line or a variable is wrong; the sentence suggests what was meant |

## Signals

| signal | what it does |
|---|---|
| SIGTERM, SIGINT | it stops: `serve` drains (below), `worker` says that it drains and leaves etcd |
| a second one | it exits with 1 at once; two within 10 ms, as `timeout(1)` sends them, are one |
| SIGHUP | `serve` reads the key file again; on a terminal it stops, as the terminal was closed |
| SIGQUIT | the log gets the stack of every thread; nothing ends |
| SIGUSR1, SIGUSR2 | nothing |

What `serve` does on SIGTERM: `/ready` turns 503 at once. For `--drain-grace` seconds all else goes
on, so that load balancers can notice. Then the port is closed, and so are connections without a
request. Requests that were sent on an open connection, or are half received, are answered, with
`Connection: close`; one that stalls for 3 seconds gets 408. After `--drain-timeout` seconds
whatever still runs is cut with an error of code `shutting_down`.

The process ends within `--drain-grace` + `--drain-timeout` + 12 seconds, even if its stdout or
stderr is not read, or something in it is stuck; without such trouble it takes 3 seconds less than
Kubernetes' `terminationGracePeriodSeconds` of 30. Raise that together with these options.

## Streams

stdout carries one line, `listening on http://HOST:PORT`, printed when it is ready, and with
`--console` one before it, `admin API on http://HOST:PORT`; logs go to
stderr. Where stdout can't be written, that is logged and it goes on serving. A warning names
each unknown `CALLBOARD_…` variable; what Kubernetes sets for a Service named `callboard`
(`CALLBOARD_PORT=tcp://…` and others) counts for nothing.

The limit of open files is raised to what the system allows (`ulimit -Hn`), to 65,536 at
most: each client and each upstream connection takes one.
"""


def page() -> str:
    """The whole page, as it must stand in the repository."""
    os.environ["COLUMNS"] = "100"  # argparse wraps to the terminal
    parts = [INTRODUCTION]
    for command, settings in COMMANDS.items():
        text = usage(settings, command, _description(command))
        # NOTE: argparse lays out the usage lines differently from one Python to the next.
        text = re.sub(r"^usage:.*?\n\n", "", text, flags=re.DOTALL)
        parts.append(f"## {command}\n\n```text\n{text}```\n")
    return "\n".join(parts)


def _description(command: str) -> str:
    if command in ADMIN_COMMANDS:
        return ADMIN_COMMANDS[command].description
    text: str = importlib.import_module(f"actors.cli.{command}").DESCRIPTION
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
