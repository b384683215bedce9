"""What an operator does to the service itself: restart or kill a child, log level, drain."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import falcon
from msgspec import Struct

from actors.supervision import (
    ActorsError,
    ChildStateError,
    InvalidSpec,
    StartFailed,
    Tree,
    UnknownChild,
)
from actors.supervision.describe import ChildView
from http_service.admin.audit import audited
from http_service.admin.parts import PREFIX, Parts
from http_service.admin.requesting import body_as, on_worker, raw_path, write
from http_service.api.context import AppContext
from http_service.errors import InvalidValue

__all__ = [
    "TREE_VERBS",
    "Confirmation",
    "DrainResource",
    "LogLevel",
    "LogLevelResource",
    "Nothing",
    "TreeActionResource",
]


class Nothing(Struct, forbid_unknown_fields=True):
    """Nothing has to be said."""


class Confirmation(Struct, forbid_unknown_fields=True):
    """What may harm has to be spelt out once more."""

    confirm: str = ""


class LogLevel(Struct, forbid_unknown_fields=True):
    """Which lines are logged: those of this level, and worse."""

    level: Literal["debug", "info", "warning", "error"]


def restart(tree: Tree, path: str) -> None:
    """Stop a child within its ``shutdown``, and start it again."""
    tree.stop_child(path)
    tree.restart_child(path)


TREE_VERBS: Final[Mapping[str, tuple[type[Struct], Callable[[Tree, str], None], str]]] = {
    "restart": (Nothing, restart, "Stop a child and start it again"),
    "kill": (Confirmation, Tree.kill_child, "Cut a child off; its supervisor starts it again"),
}
"""What can be done to a child, by the word behind the colon."""

_PATH: Final = re.compile(r"(?P<path>.+):(?P<verb>[a-z]+)", re.DOTALL)


class TreeActionResource:
    """``POST …/tree/{path}:{verb}``; the path is encoded as one."""

    def __init__(self, parts: Parts, _app: AppContext) -> None:
        self._tree = parts.subject.tree
        self._prefix = f"{PREFIX}/tree"

    def on_post(self, req: falcon.Request, resp: falcon.Response, **_fields: str) -> None:
        """Do it, and answer with the child before and after. Raises what is wrong."""
        match = _PATH.fullmatch("/".join(raw_path(req, self._prefix)))
        if match is None or match["verb"] not in TREE_VERBS:
            verbs = ", ".join(TREE_VERBS)
            raise falcon.HTTPNotFound(description=f"What can be done to a child: {verbs}.")
        schema, act, _ = TREE_VERBS[match["verb"]]
        body, path = body_as(req, schema), match["path"]
        before = self._child(path)
        if isinstance(body, Confirmation) and body.confirm != path:
            raise InvalidValue("Repeat the child's path in confirm, to be sure", "confirm")
        on_worker()
        try:
            act(self._tree, path)
        except (UnknownChild, InvalidSpec) as error:
            raise falcon.HTTPNotFound(description=str(error)) from error
        except (ChildStateError, StartFailed) as error:
            raise falcon.HTTPConflict(description=str(error)) from error
        except ActorsError as error:
            raise falcon.HTTPServiceUnavailable(description=str(error)) from error
        write(resp, audited(req, _shown(before), _shown(self._child(path))))

    def _child(self, path: str) -> ChildView:
        """Raises ``HTTPNotFound``."""
        children = self._tree.describe().children
        found: ChildView | None = None
        for step in path.split("/"):
            found = next((each for each in children if each.id == step), None)
            if found is None:
                raise falcon.HTTPNotFound(description="The tree has no such child: see GET tree.")
            children = found.children
        assert found is not None  # noqa: S101  # a text splits to one part at least
        return found


def _shown(child: ChildView) -> dict[str, Any]:
    return {"state": child.state, "restarts": child.restarts}


class LogLevelResource:
    """``POST …/log-level``: of the whole process, until it ends."""

    def __init__(self, _parts: Parts, _app: AppContext) -> None:
        """Nothing to keep: logging is the process's."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Set it. Raises what is wrong with the body."""
        body = body_as(req, LogLevel)
        root = logging.getLogger()
        before = logging.getLevelName(root.level).lower()
        root.setLevel(body.level.upper())
        write(resp, audited(req, {"level": before}, {"level": body.level}))


class DrainResource:
    """``POST …/service:drain``: as SIGTERM, the service drains and the process ends."""

    def __init__(self, parts: Parts, app: AppContext) -> None:
        self._token = parts.subject.token
        self._lifecycle = app.lifecycle

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Begin to drain. Raises ``InvalidValue`` unless that is confirmed."""
        if body_as(req, Confirmation).confirm != "drain":
            raise InvalidValue('Confirm it, to be sure: {"confirm": "drain"}', "confirm")
        before = {"draining": self._lifecycle.draining}
        self._token.cancel()
        write(resp, audited(req, before, {"draining": True}))
