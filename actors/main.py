"""``python -m actors.main``: arguments in, exit code out, nothing else."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from actors.cli.commands import COMMANDS, Command
from actors.cli.parsing import UsageError
from actors.cli.signals import LAST_SECONDS, end_within, hold_signals, leave
from actors.suggestion import suggestion
from actors.version import callboard_version

__all__ = ["main", "run"]

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
  python -m actors.main --console 127.0.0.1:8788               # … and let operators look
  python -m actors.main tree                                   # at it, from another terminal
  python -m actors.main chat echo                              # talk to a model there
  python -m actors.main check-config callboard.toml            # what a start with it would use

'python -m actors.main COMMAND --help' lists a command's options; '--version' tells the version."""

_FAILED: Final = 1
_BAD_USAGE: Final = 2
_INTERRUPTED: Final = 130


def run(arguments: Sequence[str]) -> int:
    """Run one command line; answer its exit code: 0 done, 1 failed, 2 wrong usage."""
    if arguments[:1] in (["-h"], ["--help"]):
        lines = "\n".join(f"  {row.name:12} {row.help}" for row in COMMANDS.values())
        return _print(_OVERVIEW.format(commands=lines))
    if arguments[:1] == ["--version"]:
        return _print(f"callboard {callboard_version()}")
    # Before gRPC is imported, which would write lines of its own form beside our log's.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        command, rest = _split(arguments)
        code = command.load()(rest, os.environ)
    except UsageError as error:
        print(f"callboard: {error}", file=sys.stderr)
        return _BAD_USAGE
    return code


def main() -> NoReturn:
    """The console script: run the process's arguments and exit, in time whatever is stuck."""
    _open_standard_streams()
    hold_signals()
    try:
        code = run(sys.argv[1:])
    except SystemExit as told:  # argparse's --help
        code = told.code if isinstance(told.code, int) else 0
    except KeyboardInterrupt:  # before it ran, or how one that shows and asks is ended
        code = _INTERRUPTED
    except BrokenPipeError:  # its reader has seen enough: head(1), say
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # what it held can't be written
        code = _FAILED
    except Exception:  # noqa: BLE001  # Python's own exit could wait forever for a thread
        end_within(LAST_SECONDS, _FAILED)
        traceback.print_exc()
        code = _FAILED
    leave(code)


def _open_standard_streams() -> None:
    """Open what was closed at the start as the null device.

    Else the first socket would be stdout or stderr, and get what is printed there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # The system takes the lowest free number: this stream's, for those below are open.
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)  # noqa: FBT003  # the os module's signature
            setattr(sys, name, os.fdopen(descriptor, mode))


def _print(text: str) -> int:
    """Print ``text`` on stdout; answer the exit code."""
    try:
        print(text, flush=True)
    except OSError as error:
        print(f"callboard: stdout can't be written: {error.strerror}", file=sys.stderr)
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115  # what it held can't be written
        return _FAILED
    return 0


def _split(arguments: Sequence[str]) -> tuple[Command, Sequence[str]]:
    """The command and its own arguments; ``serve`` where none is named."""
    if not arguments or arguments[0].startswith("-"):
        return COMMANDS["serve"], arguments
    if arguments[0] not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise UsageError(
            f"unknown command {arguments[0]!r}{suggestion(arguments[0], COMMANDS)}"
            f" (there are: {known})"
        )
    return COMMANDS[arguments[0]], arguments[1:]


if __name__ == "__main__":
    main()
