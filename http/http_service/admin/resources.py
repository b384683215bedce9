"""The resources of the admin API that show the service as it is at this moment.

Each answers from what its parts show already: nothing here changes anything, or asks an actor of
the tree that it shows.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time

import falcon

from actors.registry.catalog import ModelNotFound
from actors.version import callboard_version
from http_service.admin.documents import (
    Config,
    EventList,
    Models,
    Overview,
    Page,
    SettingShown,
    model_detail,
    model_summary,
    restarts_below,
    setting_text,
    source_documents,
    thread_stacks,
    tree_document,
)
from http_service.admin.parts import Parts, latest
from http_service.admin.process_facts import Processes
from http_service.admin.request_log import first_tokens
from http_service.admin.requesting import query_as, write
from http_service.api.context import AppContext, check_components
from http_service.api.probes import why_not_ready

__all__ = [
    "ConfigResource",
    "EventsResource",
    "ModelResource",
    "ModelsResource",
    "OverviewResource",
    "ProcessesResource",
    "SourcesResource",
    "StacksResource",
    "TreeResource",
]


class OverviewResource:
    """The front-end on one screen."""

    def __init__(self, parts: Parts, app: AppContext) -> None:
        self._tree = parts.subject.tree
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
        write(resp, document)

    on_head = on_get


class TreeResource:
    """The supervision tree; looking at it sends it no message."""

    def __init__(self, parts: Parts, _app: AppContext) -> None:
        self._tree = parts.subject.tree

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The root, with all that is below it."""
        write(resp, tree_document(self._tree.describe()))

    on_head = on_get


class ModelsResource:
    """Every model, and how many instances it has."""

    def __init__(self, _parts: Parts, app: AppContext) -> None:
        self._state = app.state

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """One line for each model of each kind."""
        write(resp, Models([model_summary(pool.view()) for pool in self._state.snapshot().pools()]))

    on_head = on_get


class ModelResource:
    """One model with its instances; its id may contain slashes."""

    def __init__(self, parts: Parts, app: AppContext) -> None:
        self._state = app.state
        self._parts = parts

    def on_get(self, _req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """Its instances in the order in which they came. Raises ``ModelNotFound``."""
        pools = self._state.find_pools(model)
        if not pools:
            raise ModelNotFound(model)
        first = first_tokens(latest(self._parts), time.monotonic())
        write(resp, model_detail((pool.view() for pool in pools), first))

    on_head = on_get


class SourcesResource:
    """The sources of discovery and the files of keys."""

    def __init__(self, _parts: Parts, app: AppContext) -> None:
        self._app = app

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Each with its state and its last error."""
        write(resp, source_documents(check_components(self._app.components)))

    on_head = on_get


class StacksResource:
    """What every thread does now, as SIGQUIT logs it."""

    def __init__(self, _parts: Parts, _app: AppContext) -> None:
        """Nothing to keep: the interpreter knows its threads."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Every thread's stack."""
        names = {each.ident: each.name for each in threading.enumerate() if each.ident is not None}
        frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        write(resp, thread_stacks(names, frames))

    on_head = on_get


class ProcessesResource:
    """What the processes of the front-end use; today there is one."""

    def __init__(self, parts: Parts, _app: AppContext) -> None:
        self._process = parts.process

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Each as it is now."""
        write(resp, Processes([self._process.look()]))

    on_head = on_get


class ConfigResource:
    """The settings that it was started with; secrets are masked."""

    def __init__(self, parts: Parts, _app: AppContext) -> None:
        settings = [
            SettingShown(name, setting_text(value), source)
            for name, value, source in parts.subject.settings
        ]
        self._config = Config(settings)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Each with its value and where that came from."""
        write(resp, self._config)

    on_head = on_get


class EventsResource:
    """What happened of late."""

    def __init__(self, parts: Parts, _app: AppContext) -> None:
        self._ring = parts.events.ring

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The events after one, or the newest. Raises ``InvalidValue``."""
        page = query_as(req, Page)
        write(resp, EventList(*self._ring.after(page.after, page.limit)))

    on_head = on_get
