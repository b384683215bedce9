"""The metrics of discovery: each line of the status that a graph is made of, for each source."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import CollectorRegistry

from discovery.metrics import DiscoveryMetrics
from discovery.status import StatusBoard, disconnected, synced

NOW = 1_000.0


def read(*boards: StatusBoard) -> dict[tuple[str, str], float]:
    registry = CollectorRegistry()
    registry.register(DiscoveryMetrics("p", boards, clock=lambda: NOW))
    return {
        (sample.name.removeprefix("p_discovery_"), sample.labels["source"]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }


def test_a_source_in_sync_shows_its_counts() -> None:
    board = StatusBoard("etcd")
    status = replace(board.status, entries=3, draining=1, quarantined_count=2, lag=0.5, waiting=4)
    board.show(synced(status, revision=7, repaired=1))
    assert read(board) == {
        ("synced", "etcd"): 1.0,
        ("stale_seconds", "etcd"): 0.0,
        ("lag_seconds", "etcd"): 0.5,
        ("waiting", "etcd"): 4.0,
        ("instances", "etcd"): 3.0,
        ("draining", "etcd"): 1.0,
        ("quarantined", "etcd"): 2.0,
        ("revision", "etcd"): 7.0,
        ("resyncs_total", "etcd"): 0.0,
        ("repairs_total", "etcd"): 1.0,
    }


def test_a_source_that_is_away_shows_for_how_long() -> None:
    board = StatusBoard("etcd")
    board.show(disconnected(synced(board.status, 1), "down", now=NOW - 30))
    figures = read(board)
    assert (figures["synced", "etcd"], figures["stale_seconds", "etcd"]) == (0.0, 30.0)


def test_a_clock_that_was_set_back_makes_no_negative_time() -> None:
    board = StatusBoard("etcd")
    board.show(disconnected(board.status, "down", now=NOW + 3600))
    assert read(board)["stale_seconds", "etcd"] == 0.0


def test_several_sources_stand_beside_each_other() -> None:
    figures = read(StatusBoard("etcd"), StatusBoard("directory"))
    assert {source for _, source in figures} == {"etcd", "directory"}
