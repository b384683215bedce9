"""A change "everywhere" is written to the source of the instance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from actors.service import Service
from tests.http_service.admin.conftest import Start, admin, change, read
from tests.support.waiting import eventually


def write(folder: Path, **fields: Any) -> Path:
    path = folder / "m.json"
    entry = {"name": "m", "model_type": "chat", "endpoint": {"url": "http://127.0.0.1:1/v1"}}
    path.write_text(json.dumps({**entry, **fields}))
    return path


def instance(service: Service) -> dict[str, Any]:
    status, document = read(f"{admin(service)}/models/m")
    found: dict[str, Any] = document["instances"][0] if status == 200 else {}
    return found


@pytest.mark.parametrize(("id_", "part"), [("a", "a"), ("", "")])
def test_a_drain_everywhere_is_in_the_source(
    start: Start, tmp_path: Path, id_: str, part: str
) -> None:
    path = write(tmp_path, **({"instance": id_} if id_ else {}))
    service = start(discovery_dir=str(tmp_path))
    eventually(lambda: instance(service), 10, "it was found")
    where = f"{admin(service)}/instances/chat/m/{part}"
    status, answer = change(f"{where}:drain", {"everywhere": True})
    assert (status, answer) == (
        200,
        {"before": {"state": "serving"}, "after": {"state": "draining"}},
    )
    assert json.loads(path.read_text())["state"] == "draining"
    eventually(lambda: instance(service)["state"] == "draining", 10, "it came back from there")
    assert instance(service)["overrides"]["drained"] is False
    assert change(f"{where}:weight", {"weight": 0.5, "everywhere": True})[0] == 200
    assert change(f"{where}:undrain", {"everywhere": True})[0] == 200
    eventually(lambda: instance(service)["weight"] == 0.5, 10, "so did its weight")


def test_what_no_source_announced_can_not_be_written(start: Start, tmp_path: Path) -> None:
    write(tmp_path)
    for service in (start(), start(engine=("echo=echo",), discovery_dir=str(tmp_path))):
        where = f"{admin(service)}/instances/chat/echo/%23static:drain"
        status, answer = change(where, {"everywhere": True})
        assert (status, answer["error"]["param"]) == (400, "everywhere")
        assert "No source" in answer["error"]["message"]


def test_an_ejection_is_one_front_ends_own(start: Start) -> None:
    where = f"{admin(start())}/instances/chat/echo/%23static:eject"
    assert change(where, {"everywhere": True})[1]["error"]["param"] == "everywhere"


def test_an_announcement_that_is_gone_is_said(start: Start, tmp_path: Path) -> None:
    path = write(tmp_path, instance="a")
    service = start(discovery_dir=str(tmp_path))
    eventually(lambda: instance(service), 10, "it was found")
    path.write_text("nonsense")  # what was put stays
    status, answer = change(f"{admin(service)}/instances/chat/m/a:drain", {"everywhere": True})
    assert (status, answer["error"]["param"]) == (400, "everywhere")
