"""The admin API's documents, each a record, and how they are made from what the parts show. Pure.

Everything here was read before: making a document sends no actor a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from traceback import extract_stack
from types import FrameType
from typing import Annotated, Any, Final, cast

from msgspec import Meta, Struct

from actors.engines.pool import InstanceView, PoolView
from actors.supervision.describe import ChildView, TreeView
from http_service.admin.event_log import Event
from http_service.api.context import ComponentStatus
from http_service.api.model_list import without_credentials

__all__ = [
    "Config",
    "EventList",
    "Instance",
    "ModelDetail",
    "ModelSummary",
    "Models",
    "Overview",
    "Page",
    "SettingShown",
    "Sources",
    "Stacks",
    "TreeNode",
    "model_detail",
    "model_summary",
    "restarts_below",
    "setting_text",
    "source_documents",
    "thread_stacks",
    "tree_document",
]


class Overview(Struct):
    """The front-end on one screen. ``uptime`` is in seconds; ``restarts`` are all of the tree's."""

    version: str
    python: str
    process: int
    uptime: float
    status: str
    reason: str | None
    models: int
    instances: int
    inflight_requests: int
    connections: int
    refused_connections: int
    restarts: int


class TreeNode(Struct):
    """One child of the supervision tree, and those below it.

    ``state`` is ``starting``, ``up``, ``restarting`` or ``down``; ``busy_for`` is how many seconds
    its current message has taken; ``kind`` is a supervisor's strategy, or the class of an actor.
    """

    id: str
    path: str
    state: str
    supervisor: bool
    restarts: int
    mailbox_depth: int
    busy_for: float | None
    last_exit: str | None
    children: list[TreeNode]
    kind: str = ""


class ModelSummary(Struct):
    """One model as one kind: how many instances it has, and how many of them get requests."""

    id: str
    kind: str
    instances: int
    serving: int
    inflight: int
    waiting: int


class Models(Struct):
    """Every model, in the order of adding."""

    models: list[ModelSummary]


class InstanceOverrides(Struct):
    """What an operator set for an instance here, against what it says of itself."""

    drained: bool
    ejected: bool
    weight: float | None


class Instance(Struct):
    """One instance of a model; ``since`` is for how many seconds it has been in its state.

    ``first_token`` is the median of the last minute, in seconds; ``null`` without any.
    """

    id: str
    kind: str
    endpoint: str
    state: str
    breaker: str
    inflight: int
    max_concurrency: int | None
    weight: float
    share: float
    selections: int
    failures: int
    last_error: str | None
    since: float
    overrides: InstanceOverrides
    first_token: float | None = None


class ModelDetail(Struct):
    """One model with its instances, of each kind."""

    id: str
    waiting: int
    instances: list[Instance]


class Source(Struct):
    """One part that readiness depends on: a source of discovery, or a file of keys."""

    name: str
    ready: bool
    reason: str | None
    details: dict[str, Any]


class Sources(Struct):
    """Every such part."""

    sources: list[Source]


class ThreadStack(Struct):
    """What one thread does now, its innermost call last; a line is ``function (file:line)``."""

    name: str
    frames: list[str]


class Stacks(Struct):
    """Every thread of the process."""

    threads: list[ThreadStack]


class SettingShown(Struct):
    """One setting as text; ``source`` is ``option``, ``variable``, ``file`` or ``default``."""

    name: str
    value: str
    source: str


class Config(Struct):
    """Every setting, in the order of ``--help``."""

    settings: list[SettingShown]


class Page(Struct, forbid_unknown_fields=True):
    """Which part of what is kept: ``limit`` items after the sequence ``after``; or the newest."""

    after: Annotated[int, Meta(ge=0)] | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 500


class EventList(Struct):
    """Events, the newest last, and what to ask for ``after`` next time."""

    events: Sequence[Event]
    next: int


GETS_REQUESTS: Final = frozenset(("serving", "starting", "on_trial"))
"""States of an instance in which it may be given a request."""


def tree_document(tree: TreeView) -> TreeNode:
    """The whole tree; its root has the tree's name and an empty path."""
    state = "up" if tree.exit is None else "down"
    last_exit = None if tree.exit is None else str(tree.exit)
    below = [_node(child) for child in tree.children]
    return TreeNode(tree.name, "", state, True, 0, 0, None, last_exit, below)  # noqa: FBT003  # a record


def restarts_below(node: TreeNode) -> int:
    """How often anything of the tree below ``node`` was started again."""
    return sum(child.restarts + restarts_below(child) for child in node.children)


def _node(child: ChildView) -> TreeNode:
    return TreeNode(
        id=child.id,
        path=child.path,
        state=child.state,
        supervisor=child.supervisor,
        restarts=child.restarts,
        mailbox_depth=child.mailbox_depth,
        busy_for=None if child.busy_for is None else round(child.busy_for, 3),
        last_exit=None if child.last_exit is None else str(child.last_exit),
        children=[_node(each) for each in child.children],
        kind=child.kind,
    )


_USER_INFO: Final = re.compile(r"(?<=//)[^/@\s]+@")
"""The user and password of a URL."""


def setting_text(value: object) -> str:
    """A setting's value as text, lists by commas, without the user and password of a URL."""
    if isinstance(value, tuple):
        return ",".join(map(setting_text, cast("tuple[object, ...]", value)))
    return _USER_INFO.sub("***@", str(value))


def model_summary(pool: PoolView) -> ModelSummary:
    """One pool as a line of the list of models."""
    return ModelSummary(
        id=pool.model,
        kind=pool.kind,
        instances=len(pool.instances),
        serving=sum(each.state in GETS_REQUESTS for each in pool.instances),
        inflight=sum(each.inflight for each in pool.instances),
        waiting=pool.waiting,
    )


def model_detail(
    pools: Iterable[PoolView], first_tokens: Mapping[tuple[str, str, str], float]
) -> ModelDetail:
    """The pools of one model, at least one, as one document.

    ``first_tokens`` are the medians of its instances, by kind, model and instance.
    """
    views = [*pools]
    return ModelDetail(
        id=views[0].model,
        waiting=sum(view.waiting for view in views),
        instances=[
            _instance(each, view.kind, first_tokens.get((view.kind, view.model, each.id)))
            for view in views
            for each in view.instances
        ],
    )


def _instance(view: InstanceView, kind: str, first_token: float | None) -> Instance:
    return Instance(
        id=view.id,
        kind=kind,
        endpoint=without_credentials(view.endpoint),
        state=view.state,
        breaker=view.breaker,
        inflight=view.inflight,
        max_concurrency=view.max_concurrency,
        weight=view.weight,
        share=view.share,
        selections=view.selections,
        failures=view.failures,
        last_error=view.last_error,
        since=view.since,
        overrides=InstanceOverrides(
            view.overrides.drained, view.overrides.ejected, view.overrides.weight
        ),
        first_token=first_token,
    )


def source_documents(components: Mapping[str, ComponentStatus]) -> Sources:
    """Each component by its name, with what only operators see."""
    return Sources([
        Source(name, status.ready, status.reason, {**status.details, **status.for_operators})
        for name, status in components.items()
    ])  # fmt: skip


def thread_stacks(names: Mapping[int, str], frames: Mapping[int, FrameType]) -> Stacks:
    """The stacks ``frames`` of threads, by their number, with their ``names``."""
    return Stacks([
        ThreadStack(
            names.get(number, str(number)),
            [f"{each.name} ({each.filename}:{each.lineno})" for each in extract_stack(frame)],
        )
        for number, frame in frames.items()
    ])  # fmt: skip
