"""Settings of the whole suite."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# The machine may be busy: how long an example takes says nothing about the code under test.
settings.register_profile(
    "callboard", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("fast", settings.get_profile("callboard"), max_examples=20)
settings.load_profile("callboard")


ETCD_FIXTURES = {"etcd_server", "server"}
"""Fixtures that start an etcd: that of ``tests.support.etcd``, and a test's own in discovery."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start an etcd, so that ``make fast`` can leave them out."""
    for item in items:
        fixtures = {*getattr(item, "fixturenames", ())}
        if fixtures & ETCD_FIXTURES and ("etcd_server" in fixtures or "discovery" in item.nodeid):
            item.add_marker("etcd")


def pytest_collection_finish() -> None:
    """Freeze what the runner holds: a test that collects garbage looks at its own objects only."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _log_level_stays() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]  # pytest finds it
    """What a file's tests set of the whole process's log does not reach the next file's.

    ``configure_logging`` sets the level of some loggers and the filters of others, for good.
    """
    known = logging.root.manager.loggerDict.values()
    loggers = [logging.root, *(each for each in known if isinstance(each, logging.Logger))]
    before = [(each, each.level, [*each.filters]) for each in loggers]
    yield
    for logger, level, filters in before:
        logger.filters[:] = filters
        if logger.level != level:
            logger.setLevel(level)


@pytest.fixture(scope="session", autouse=True)
def _signals_arrive() -> None:  # pyright: ignore[reportUnusedFunction]  # pytest finds it
    """Handle SIGINT and SIGHUP, which a shell's background job and ``nohup`` ignore.

    An ignored signal stays ignored in every program that the tests start; a handled one does not.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
