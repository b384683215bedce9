"""The resources of the admin API and their one table of routes.

Each answers from what its parts show at this moment: nothing here changes the service.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

import falcon
import msgspec

from actors.registry.catalog import ModelNotFound
from actors.supervision import Tree
from actors.version import callboard_version
from http_service.admin.documents import (
    ModelDetail,
    Models,
    Overview,
    Sources,
    Stacks,
    TreeNode,
    model_detail,
    model_summary,
    restarts_below,
    source_documents,
    thread_stacks,
    tree_document,
)
from http_service.api.context import AppContext, Route, check_components
from http_service.api.openapi import OpenApiResource
from http_service.api.probes import why_not_ready

__all__ = ["PREFIX", "admin_routes"]

PREFIX: Final = "/admin/v1"


class OverviewResource:
    """The front-end on one screen."""

    def __init__(self, tree: Tree, app: AppContext) -> None:
        self._tree = tree
        self._app = app
        self._started = time.monotonic()

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Counts and the verdict of ``/ready``."""
        app = self._app
        reason = why_not_ready(app, check_components(app.components))
        pools = app.state.snapshot().pools()
        connections, refused = app.metrics.connections()
        document = Overview(
            version=callboard_version(),
            python=platform.python_version(),
            process=os.getpid(),
            uptime=round(time.monotonic() - self._started, 3),
            status="ready" if reason is None else "not_ready",
            reason=reason,
            models=len({pool.model for pool in pools}),
            instances=sum(len(pool.view().instances) for pool in pools),
            inflight_requests=len(app.inflight),
            connections=connections,
            refused_connections=refused,
            restarts=restarts_below(tree_document(self._tree.describe())),
        )
        _write(resp, document)

    on_head = on_get


class TreeResource:
    """The supervision tree; looking at it sends it no message."""

    def __init__(self, tree: Tree, _app: AppContext) -> None:
        self._tree = tree

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The root, with all that is below it."""
        _write(resp, tree_document(self._tree.describe()))

    on_head = on_get


class ModelsResource:
    """Every model, and how many instances it has."""

    def __init__(self, app: AppContext) -> None:
        self._state = app.state

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """One line for each model of each kind."""
        _write(
            resp, Models([model_summary(pool.view()) for pool in self._state.snapshot().pools()])
        )

    on_head = on_get


class ModelResource:
    """One model with its instances; its id may contain slashes."""

    def __init__(self, app: AppContext) -> None:
        self._state = app.state

    def on_get(self, _req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """Its instances in the order in which they came. Raises ``ModelNotFound``."""
        pools = self._state.find_pools(model)
        if not pools:
            raise ModelNotFound(model)
        _write(resp, model_detail(pool.view() for pool in pools))

    on_head = on_get


class SourcesResource:
    """The sources of discovery and the files of keys."""

    def __init__(self, app: AppContext) -> None:
        self._app = app

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Each with its state and its last error."""
        _write(resp, source_documents(check_components(self._app.components)))

    on_head = on_get


class StacksResource:
    """What every thread does now, as SIGQUIT logs it."""

    def __init__(self, _app: AppContext) -> None:
        """Nothing to keep: the interpreter knows its threads."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Every thread's stack."""
        names = {each.ident: each.name for each in threading.enumerate() if each.ident is not None}
        frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        _write(resp, thread_stacks(names, frames))

    on_head = on_get


def admin_routes(tree: Tree) -> Sequence[Route]:
    """Every route of the admin API of the service that ``tree`` is."""
    not_found = {200: "The model", 404: "The model is not served here"}
    return (
        Route(
            f"{PREFIX}/overview",
            "GET",
            "overview",
            "The front-end on one screen",
            partial(OverviewResource, tree),
            result=Overview,
        ),
        Route(
            f"{PREFIX}/tree",
            "GET",
            "tree",
            "The supervision tree",
            partial(TreeResource, tree),
            result=TreeNode,
        ),
        Route(
            f"{PREFIX}/models",
            "GET",
            "models",
            "Every model and how many instances it has",
            ModelsResource,
            result=Models,
        ),
        Route(
            f"{PREFIX}/models/{{model:path}}",
            "GET",
            "model",
            "One model with its instances; its id may contain slashes",
            ModelResource,
            not_found,
            result=ModelDetail,
        ),
        Route(
            f"{PREFIX}/sources",
            "GET",
            "sources",
            "The sources of discovery and the files of keys",
            SourcesResource,
            result=Sources,
        ),
        Route(
            f"{PREFIX}/stacks",
            "GET",
            "stacks",
            "What every thread does now",
            StacksResource,
            result=Stacks,
        ),
        Route(f"{PREFIX}/openapi.json", "GET", "openapi", "This document", OpenApiResource),
    )


def _write(resp: falcon.Response, document: msgspec.Struct) -> None:
    resp.content_type = falcon.MEDIA_JSON
    resp.set_header("cache-control", "no-store")
    # A component's details are its own: whatever JSON can't say is shown as text.
    resp.data = msgspec.json.encode(document, enc_hook=str)
