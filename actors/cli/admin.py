"""``status``, ``tree``, ``models``, ``instances``: a running front-end, read by its admin API."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import quote

from actors.cli.client import ADMIN, MODELS, Client, Unreachable, first_key
from actors.cli.output import Lines, Paint, Screen, document, painter, shown, table
from actors.cli.parsing import parse_settings
from actors.cli.signals import FAILED, OK
from actors.settings.admin import (
    AdminSettings,
    InstancesSettings,
    ModelsSettings,
    PrintedSettings,
    StatusSettings,
    TreeSettings,
)

__all__ = ["DESCRIPTIONS", "instances", "models", "opened", "printed", "status", "tree"]

BUSY: Final = 0.1
"""Seconds from which a child that works on one message is shown as busy."""

STREAM_TIMEOUT: Final = 45.0
"""Seconds in which the front-end must send something on a stream: it comments every 15."""

S = TypeVar("S", bound=PrintedSettings)

DESCRIPTIONS: Final = {
    "status": "Show a running front-end on one screen; exit code 0 if it is ready, 1 if not.\n\n"
    "As a container's health check: callboard status --ready --quiet",
    "tree": "Show the supervision tree of a running front-end; looking at it disturbs nothing.",
    "models": "List the models of a running front-end, and how many instances each has.",
    "instances": "List the instances of a model, as in: instances llama-3",
}


def opened(settings: AdminSettings, timeout: float | None = None) -> Client:
    """A client of the front-end's admin API. Raises ``UsageError`` for a bad key file."""
    key = first_key(settings.admin_key_file, "--admin-key-file")
    client = Client(ADMIN, settings.admin_url, key)
    return client if timeout is None else Client(ADMIN, settings.admin_url, key, timeout)


def printed(action: Callable[[], int]) -> int:
    """What ``action`` returns; 1, with its sentence on stderr, if the server can't be asked."""
    try:
        return action()
    except Unreachable as error:
        print(f"callboard: {error}", file=sys.stderr)
        return FAILED


def show(answer: Any, output: str, lines: Callable[[Any, Paint], Lines]) -> None:
    """Print ``answer`` as a document, or as the ``lines`` that people read."""
    if output == "table":
        print("\n".join(lines(answer, painter(sys.stdout))), flush=True)
    else:
        print(document(answer, output), flush=True)


def status(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """``status``: 0 if the front-end is ready."""
    settings = _parsed(StatusSettings, "status", arguments, environment)
    return printed(lambda: _ready(settings) if settings.ready else _overview(settings))


def _overview(settings: StatusSettings) -> int:
    with opened(settings) as client:
        answer = client.get("/admin/v1/overview")
    if not settings.quiet:
        show(answer, settings.output, _status_lines)
    return OK if answer["status"] == "ready" else FAILED


def _ready(settings: StatusSettings) -> int:
    """Ask the public port, as a load balancer does. Raises :class:`Unreachable` if not ready."""
    key = first_key(settings.api_key_file, "--api-key-file")
    with Client(MODELS, settings.url.removesuffix("/v1"), key) as client:
        answer = client.get("/ready")
    if not settings.quiet:
        show(answer, settings.output, lambda _answer, paint: iter([paint("ready")]))
    return OK


def tree(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """``tree``: once, or whenever it changes."""
    settings = _parsed(TreeSettings, "tree", arguments, environment)
    return printed(lambda: _watch_tree(settings) if settings.watch else _tree_once(settings))


def _tree_once(settings: TreeSettings) -> int:
    with opened(settings) as client:
        show(client.get("/admin/v1/tree"), settings.output, tree_lines)
    return OK


def _watch_tree(settings: TreeSettings) -> int:
    screen = Screen(sys.stdout)
    screen.clear()
    with opened(settings, STREAM_TIMEOUT) as client:
        for event in client.events("/admin/v1/stream?topics=tree"):
            if event.topic == "tree":
                _redraw(screen, event.json(), settings.output)
    raise Unreachable(f"{settings.admin_url} has stopped")


def _redraw(screen: Screen, answer: Any, output: str) -> None:
    if output == "table":
        screen.show(tree_lines(answer, painter(sys.stdout)))
    else:
        screen.show([document(answer, output)])


def models(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """``models``: all, or those of a pattern."""
    settings = _parsed(ModelsSettings, "models", arguments, environment)

    def run() -> int:
        with opened(settings) as client:
            answer = client.get("/admin/v1/models")
        found = [each for each in answer["models"] if _matches(each["id"], settings.pattern)]
        show({"models": found}, settings.output, _columns("models", _MODEL_COLUMNS))
        return OK

    return printed(run)


def _matches(name: str, pattern: str) -> bool:
    return not pattern or pattern in name or fnmatch.fnmatchcase(name, pattern)


def instances(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """``instances``: those of one model."""
    settings = _parsed(InstancesSettings, "instances", arguments, environment)

    def run() -> int:
        with opened(settings) as client:
            answer = client.get(f"/admin/v1/models/{quote(settings.model, safe='')}")
        show(answer, settings.output, _columns("instances", _INSTANCE_COLUMNS))
        return OK

    return printed(run)


def _parsed(
    settings: type[S], command: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> S:
    return parse_settings(settings, command, DESCRIPTIONS[command], arguments, environment)


def _status_lines(answer: Any, paint: Paint) -> Lines:
    state = paint(answer["status"])
    yield f"callboard {answer['version']}, process {answer['process']}: {state}"
    if answer["reason"] is not None:
        yield f"  {shown(answer['reason'])}"
    names = ("models", "instances", "inflight_requests", "connections", "restarts")
    yield from table([(name.replace("_", " "), answer[name]) for name in names])
    yield f"up for {answer['uptime']:.0f} s"


def tree_lines(answer: Any, paint: Paint) -> Lines:
    """The tree as an outline."""
    yield shown(answer["id"])
    yield from _children(answer["children"], "", paint)


def _children(children: Sequence[Any], indent: str, paint: Paint) -> Lines:
    for at, child in enumerate(children, 1):
        last = at == len(children)
        yield f"{indent}{'└─' if last else '├─'} {_child(child, paint)}"
        yield from _children(child["children"], indent + ("   " if last else "│  "), paint)


def _child(child: Any, paint: Paint) -> str:
    rest = ", ".join(child_facts(child))
    state = paint(shown(child["state"]))
    return f"{shown(child['id'])}, {state}{', ' if rest else ''}{rest}"


def child_facts(child: Any) -> Iterator[str]:
    """What there is to say of a child beside its state, a supervisor's strategy first."""
    if child["supervisor"] and child.get("kind"):
        yield shown(child["kind"])
    if child["restarts"]:
        yield f"restarted {child['restarts']} times"
    if child["mailbox_depth"]:
        yield f"{child['mailbox_depth']} messages wait"
    if child["busy_for"] is not None and child["busy_for"] >= BUSY:
        yield f"busy for {child['busy_for']:.1f} s"
    if child["last_exit"] is not None:
        yield shown(f"last exit: {child['last_exit']}")


_MODEL_COLUMNS: Final = ("id", "kind", "instances", "serving", "inflight", "waiting")
_INSTANCE_COLUMNS: Final = (
    "id", "kind", "state", "inflight", "weight", "selections", "failures", "last_error", "endpoint"
)  # fmt: skip


def _columns(key: str, names: Sequence[str]) -> Callable[[Any, Paint], Lines]:
    """Shows the records at ``key`` of a document as a table of these fields."""

    def lines(answer: Any, paint: Paint) -> Lines:
        titles = [name.replace("_", " ").upper() for name in names]
        rows = [[record[name] for name in names] for record in answer[key]]
        return table([titles, *rows], paint)

    return lines
