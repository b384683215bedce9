"""``status``, ``tree``, ``models``, ``instances``: a running front-end, read by its admin API."""

from __future__ import annotations

import http.client
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from actors.cli.parsing import UsageError, parse_settings
from actors.cli.signals import FAILED, OK
from actors.settings.admin import AdminSettings

__all__ = ["COMMANDS", "AdminCommand", "instances", "models", "run", "status", "table", "tree"]

TIMEOUT: Final = 5.0
"""Seconds for the answer: it is made of what is known, without waiting for anything."""

Lines: TypeAlias = Iterator[str]


@dataclass(frozen=True, slots=True)
class AdminCommand:
    """One command: what it reads, how that is shown, and whether that is a success.

    ``path`` is below ``/admin/v1``; ``argument`` is what stands after the command, put behind the
    path, "" where nothing does.
    """

    description: str
    path: str
    lines: Callable[[Any], Lines]
    succeeded: Callable[[Any], bool] = lambda _document: True
    argument: str = ""


class Unreachable(Exception):
    """The admin API gave no document; the text says why and what to do."""


def run(command: str, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Print what ``command`` reads; returns the exit code: 0, or 1 if it can't or is not ready.

    Raises ``UsageError``.
    """
    row = COMMANDS[command]
    path, options = row.path, arguments
    if row.argument and not {"-h", "--help"} & {*arguments}:
        if not arguments or arguments[0].startswith("-"):
            raise UsageError(f"{command} needs a {row.argument}: {command} {row.argument}")
        path, options = path + quote(arguments[0], safe=""), arguments[1:]
    settings = parse_settings(AdminSettings, command, row.description, options, environment)
    try:
        document = _read(settings, path)
    except Unreachable as error:
        print(f"callboard: {error}", file=sys.stderr)
        return FAILED
    if settings.output == "json":
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print("\n".join(row.lines(document)))
    return OK if row.succeeded(document) else FAILED


def _read(settings: AdminSettings, path: str) -> Any:
    """The document at ``path``. Raises :class:`Unreachable`, and ``UsageError`` for a key file."""
    request = urllib.request.Request(f"{settings.admin_url.rstrip('/')}/admin/v1/{path}")  # noqa: S310  # checked by its option
    if settings.admin_key_file:
        request.add_header("authorization", f"Bearer {_key(settings.admin_key_file)}")
    # The front-end is asked itself, whatever proxy this machine has for the rest of the world.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise Unreachable(_explained(error, settings.admin_url)) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Unreachable(
            f"no admin API answers at {settings.admin_url} ({reason}): "
            "start the front-end with --console 127.0.0.1:8788, or give its address in --admin-url"
        ) from error


def _explained(error: urllib.error.HTTPError, url: str) -> str:
    if error.code == http.client.UNAUTHORIZED:
        return f"{url} wants an operator's key: give --admin-key-file"
    try:
        told = json.load(error)["error"]["message"]
    except (OSError, ValueError, LookupError, TypeError):
        return (
            f"{url} has no admin API ({error.code}): name the address of --console with --admin-url"
        )
    return f"{url} answers {error.code}: {told}"


def _key(path: str) -> str:
    """The first key of the file at ``path``. Raises ``UsageError``."""
    try:
        lines = Path(path).read_text("ascii").splitlines()
    except (OSError, ValueError):
        raise UsageError(
            f"--admin-key-file: {path!r} can't be read: give a file of ASCII keys"
        ) from None
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not keys:
        raise UsageError(f"--admin-key-file: {path!r} holds no key: write one into it")
    return keys[0]


def table(rows: Sequence[Sequence[object]]) -> Lines:
    """``rows``, the first of which are the titles, as lines of aligned columns; pure.

    Numbers stand to the right. Control characters are shown as "?": a name may come from a
    stranger, and must not reach the terminal.
    """
    texts = [[_shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    right = [
        all(isinstance(row[at], (int, float)) for row in rows[1:]) for at in range(len(widths))
    ]
    for row in texts:
        cells = [
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, right, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _shown(cell: object) -> str:
    text = "-" if cell is None else str(cell)
    return "".join(each if each.isprintable() else "?" for each in text)


def _status(document: Any) -> Lines:
    yield f"callboard {document['version']}, process {document['process']}: {document['status']}"
    if document["reason"] is not None:
        yield f"  {_shown(document['reason'])}"
    names = ("models", "instances", "inflight_requests", "connections", "restarts")
    yield from table([(name.replace("_", " "), document[name]) for name in names])
    yield f"up for {document['uptime']:.0f} s"


def _tree(document: Any) -> Lines:
    yield _shown(document["id"])
    yield from _children(document["children"], "")


def _children(children: Sequence[Any], indent: str) -> Lines:
    for at, child in enumerate(children, 1):
        last = at == len(children)
        yield f"{indent}{'└─' if last else '├─'} {_child(child)}"
        yield from _children(child["children"], indent + ("   " if last else "│  "))


def _child(child: Any) -> str:
    parts = [child["id"], child["state"]]
    if child["restarts"]:
        parts.append(f"restarted {child['restarts']} times")
    if child["mailbox_depth"]:
        parts.append(f"{child['mailbox_depth']} messages wait")
    if child["busy_for"] is not None:
        parts.append(f"busy for {child['busy_for']:.1f} s")
    if child["last_exit"] is not None:
        parts.append(f"last exit: {child['last_exit']}")
    return _shown(", ".join(parts))


_MODEL_COLUMNS: Final = ("id", "kind", "instances", "serving", "inflight", "waiting")
_INSTANCE_COLUMNS: Final = (
    "id", "kind", "state", "inflight", "weight", "selections", "failures", "last_error", "endpoint"
)  # fmt: skip


def _columns(key: str, names: Sequence[str]) -> Callable[[Any], Lines]:
    """Shows the records at ``key`` of a document as a table of these fields."""

    def lines(document: Any) -> Lines:
        titles = [name.replace("_", " ").upper() for name in names]
        return table([titles, *([record[name] for name in names] for record in document[key])])

    return lines


COMMANDS: Final[Mapping[str, AdminCommand]] = {
    "status": AdminCommand(
        "Show a running front-end on one screen; exit code 0 if it is ready, 1 if not.",
        "overview",
        _status,
        lambda document: bool(document["status"] == "ready"),
    ),
    "tree": AdminCommand(
        "Show the supervision tree of a running front-end; looking at it disturbs nothing.",
        "tree",
        _tree,
    ),
    "models": AdminCommand(
        "List the models of a running front-end, and how many instances each has.",
        "models",
        _columns("models", _MODEL_COLUMNS),
    ),
    "instances": AdminCommand(
        "List the instances of a model, as in: instances llama-3",
        "models/",
        _columns("instances", _INSTANCE_COLUMNS),
        argument="MODEL",
    ),
}
"""The commands that read the admin API."""

status, tree, models, instances = (partial(run, name) for name in COMMANDS)
