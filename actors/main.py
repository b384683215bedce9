"""``python -m actors.main``: arguments in, exit code out, nothing else."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from actors.checks import suggestion
from actors.commands.parsing import UsageError
from actors.version import callboard_version

__all__ = ["main", "run"]

_COMMANDS: Final = {
    "serve": "serve models over HTTP; the command that is meant when none is given",
    "worker": "announce a model in etcd: one that runs elsewhere, or one hosted here",
    "demo": "etcd, a small real language model and the service, all in one tree",
}

_OVERVIEW: Final = """\
usage: python -m actors.main [COMMAND] [OPTIONS]

Callboard serves language models over OpenAI's API. Workers announce their models in etcd; every
request asks the registry which engine serves it; whatever crashes is restarted.

commands:
{commands}

examples:
  python -m actors.main                                        # the echo model on port 8787
  python -m actors.main --etcd http://10.0.0.5:2379            # whatever workers announce there
  python -m actors.main worker --model llama-3 --url http://10.0.0.7:8000/v1 \\
                               --etcd http://10.0.0.5:2379     # announce a vLLM server
  python -m actors.main demo                                   # try it with a real model

'python -m actors.main COMMAND --help' lists a command's options; '--version' tells the version."""

_BAD_USAGE: Final = 2


def run(arguments: Sequence[str]) -> int:
    """Run one command line; answer its exit code: 0 done, 1 failed, 2 wrong usage."""
    if arguments[:1] in (["-h"], ["--help"]):
        lines = "\n".join(f"  {name:8} {what}" for name, what in _COMMANDS.items())
        print(_OVERVIEW.format(commands=lines))
        return 0
    if arguments[:1] == ["--version"]:
        print(f"callboard {callboard_version()}")
        return 0
    # Before gRPC is imported, which would write lines of its own form beside our log's.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        command, rest = _split(arguments)
        # Imported late: "worker" needs no HTTP server and "--help" needs nothing at all.
        module = importlib.import_module(f"actors.commands.{command}")
        code: int = module.run(rest, os.environ)
    except UsageError as error:
        print(f"callboard: {error}", file=sys.stderr)
        return _BAD_USAGE
    return code


def main() -> NoReturn:
    """The console script: run the process's arguments and exit."""
    sys.exit(run(sys.argv[1:]))


def _split(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The command and its own arguments; ``serve`` where none is named."""
    if not arguments or arguments[0].startswith("-"):
        return "serve", arguments
    if arguments[0] not in _COMMANDS:
        known = ", ".join(_COMMANDS)
        raise UsageError(
            f"unknown command {arguments[0]!r}{suggestion(arguments[0], _COMMANDS)}"
            f" (there are: {known})"
        )
    return arguments[0], arguments[1:]


if __name__ == "__main__":
    main()
