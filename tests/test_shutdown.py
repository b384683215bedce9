"""The shutdown's time budget: each sum leaves room for the parts that end within it."""

from __future__ import annotations

import inspect

import pytest

from actors import shutdown
from actors.cli.worker import _stop_time as worker_stop_time  # pyright: ignore[reportPrivateUsage]  # what the command gives itself
from actors.service import stop_time
from actors.settings.serve import ServeSettings
from actors.settings.worker import WorkerSettings
from actors.supervision.process_actor import KILL_WAIT, ProcessActor
from http_service import HttpServiceConfig
from http_service.server.actors import shutdown_time

DRAINS = [(0.0, 0.0), (5.0, 30.0), (0.5, 600.0)]


@pytest.mark.parametrize(("grace", "timeout"), DRAINS)
def test_a_front_end_outlives_its_server_and_an_embedding_program_too(
    grace: float, timeout: float
) -> None:
    server = shutdown.server_stop(grace, timeout)
    assert server >= grace + timeout + 2 * shutdown.ABORT_GRACE
    assert server < shutdown.embedded_stop(grace, timeout) < shutdown.front_end_stop(grace, timeout)


def test_a_process_that_must_be_killed_ends_within_the_trees_margin() -> None:
    grace = inspect.signature(ProcessActor).parameters["grace"].default
    assert grace + KILL_WAIT < shutdown.TREE_MARGIN


def test_a_worker_has_time_to_revoke_its_lease() -> None:
    assert shutdown.worker_stop(5.0, 0.0) > shutdown.MARK_DRAINING + 5.0 + shutdown.REVOKE_TIMEOUT


def test_the_parts_wait_by_the_table() -> None:
    serve = ServeSettings(drain_grace=1.0, drain_timeout=2.0)
    assert stop_time(serve) == shutdown.front_end_stop(1.0, 2.0)
    config = HttpServiceConfig(drain_grace=1.0, drain_timeout=2.0)
    assert shutdown_time(config) == shutdown.server_stop(1.0, 2.0)
    worker = WorkerSettings(drain=3.0, drain_timeout=60.0)
    assert worker_stop_time(worker) == shutdown.worker_stop(3.0, 0.0)
