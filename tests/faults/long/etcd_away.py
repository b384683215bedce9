"""etcd is frozen or killed under load: nobody notices but ``/health``; later it converges."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from tests.faults.long.measures import failures, milliseconds
from tests.faults.long.report import Report, Settings
from tests.faults.long.stage import Stage, pause
from tests.faults.long.upstreams import Upstreams
from tests.support.chat import get_json, wait_for_model
from tests.support.waiting import eventually

__all__ = ["run"]

RATE = 60.0
STALE = 20.0
"""Seconds at most until ``/health`` says so; a frozen etcd is found by silence only."""
CONVERGED = 15.0
"""Seconds at most from etcd's return to what was put there meanwhile; the backoff ends at 5 s."""


def run(report: Report, settings: Settings, ways: Sequence[str] = ("frozen", "killed")) -> None:
    """An equal part of the time frozen, then dead; a new model is put after each."""
    with Upstreams(2, 0.005) as upstreams, Stage() as stage:
        stage.announce(upstreams.urls)
        load = stage.load(RATE)
        load.start()
        pause(1.0)
        for way in ways:
            begun = time.monotonic()
            report.say(f"etcd is {way}")
            if way == "frozen":
                stage.etcd.freeze()
            else:
                stage.etcd.kill()
            noticed = eventually(lambda: _is_stale(stage), STALE, "/health says stale")
            report.figure(f"{way}: /health says stale after", noticed, "s")
            pause(max(0.0, settings.seconds / len(ways) - (time.monotonic() - begun)))
            report.promise(f"{way}: /health still says stale", _is_stale(stage))
            _bring_back(stage, way)
            name = f"new-{way}"
            entry = {"name": name, "model_type": "chat", "endpoint": {"url": upstreams.urls[0]}}
            stage.etcd.put(f"/models/chat/{name}", json.dumps(entry))
            took = wait_for_model(stage.url, name, CONVERGED)
            report.figure(f"{way}: converged after its return and the put", took, "s")
            eventually(lambda: not _is_stale(stage), CONVERGED, "/health says synced")
        requests = load.stop()
    failed = failures(requests)
    report.figure("p99", milliseconds(requests), "ms")
    report.promise(
        f"all {len(requests)} requests are answered well {dict(failed) or ''}",
        bool(requests) and not failed,
    )


def _bring_back(stage: Stage, way: str) -> None:
    if way == "frozen":
        stage.etcd.thaw()
        eventually(stage.etcd.healthy, 20, "etcd answers")
    else:
        stage.etcd.restart()


def _is_stale(stage: Stage) -> bool:
    _, health = get_json(f"{stage.url}/health")
    return any(each.get("stale_since") is not None for each in health["components"].values())
