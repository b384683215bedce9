"""Writes ``docs/reference/command-line.md`` from the commands' own help.

Run ``python -m tests.docs.command_line`` after changing an option; a test holds page and help
together.
"""

from __future__ import annotations

import os
import re

from actors.cli.commands import COMMANDS
from actors.cli.parsing import usage
from tests.docs.blocks import ROOT

__all__ = ["PAGE", "page"]

PAGE = ROOT / "docs" / "reference" / "command-line.md"
INTRODUCTION = """\
# The command line

`callboard [COMMAND] [OPTIONS]`, or `python -m actors.main …`, the same program; without a command,
`serve` is meant. An option wins over its environment variable (in brackets), the variable over the
file, the file over the default.

| exit code | when |
|---|---|
| 0 | it was stopped, and drained; a command that asks: it got its answer |
| 1 | it could not start, gave up, was signalled twice, or did not stop in time; `status`: \
not ready; a command that asks: it got no answer, or an error |
| 2 | the command line, a variable or the file is wrong; the sentence suggests what was meant |
| 130 | Ctrl-C ended a command that shows or asks |

## The file

`callboard.toml` is read from `--config`, else from this folder, else from `/etc/callboard`:

```toml
[serve]                       # [worker] and [demo] likewise
port = 8787
etcd = ["http://10.0.0.5:2379", "http://10.0.0.6:2379"]
drain_timeout = 60
operator_key_file = "/run/secrets/operators"

[profiles.paris]              # where a front-end is: callboard tree --profile paris
admin_url = "http://10.0.0.9:8788"
admin_key_file = "/run/secrets/operator"
url = "http://10.0.0.9:8787/v1"
```

A key is an option's name with `_` in the place of `-`, its value what the option takes; `true` is
yes. An unknown section or key is an error, with the one that was meant. Secrets stand in files of
their own: the file is refused if it holds one. `callboard check-config` says what a start would
use and where each value comes from; it names every mistake and starts nothing.

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
`--console` one before it, `console on http://HOST:PORT`; logs go to
stderr. Where stdout can't be written, that is logged and it goes on serving. A warning names
each unknown `CALLBOARD_…` variable; what Kubernetes sets for a Service named `callboard`
(`CALLBOARD_PORT=tcp://…` and others) counts for nothing.

The commands that ask print their answer on stdout, their mistakes and progress on stderr. Colour
and progress are for terminals only; `NO_COLOR` turns colour off there. Names and texts of strangers
reach the terminal without control characters.

The limit of open files is raised to what the system allows (`ulimit -Hn`), to 65,536 at
most: each client and each upstream connection takes one.
"""


def page() -> str:
    """The whole page, as it must stand in the repository."""
    os.environ["COLUMNS"] = "100"  # argparse wraps to the terminal
    parts = [INTRODUCTION]
    for row in COMMANDS.values():
        text = usage(row.settings_class(), row.name, row.description())
        # NOTE: argparse lays out the usage lines differently from one Python to the next.
        text = re.sub(r"^usage:.*?\n\n", "", text, flags=re.DOTALL)
        parts.append(f"## {row.name}\n\n```text\n{text}```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
