"""What operators change: instances, children, log level, the whole service; each is audited."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from actors.service import Service
from tests.http_service.admin.conftest import Start, admin, change, events, read
from tests.support.chat import chat
from tests.support.waiting import eventually


@pytest.fixture
def level() -> Iterator[None]:
    """What a test sets is the whole process's."""
    before = logging.getLogger().level
    yield
    logging.getLogger().setLevel(before)


def shown(service: Service, kind: str = "chat") -> dict[str, Any]:
    instances: list[dict[str, Any]] = read(f"{admin(service)}/models/a%2Fb")[1]["instances"]
    return next(each for each in instances if each["kind"] == kind)


def test_a_drained_instance_gets_no_request_until_it_is_undrained(start: Start) -> None:
    service = start(engine=("echo=a/b",))
    where = f"{admin(service)}/instances/chat/a%2Fb/%23static"
    nothing = {"drained": False, "ejected": False, "weight": None}
    status, answer = change(f"{where}:drain")
    assert (status, answer) == (200, {"before": nothing, "after": {**nothing, "drained": True}})
    assert (shown(service)["state"], shown(service)["overrides"]["drained"]) == ("draining", True)
    assert shown(service, "completions")["state"] != "draining"
    assert chat(service.url, "a/b")[0] == 503
    assert change(f"{where}:undrain")[1]["after"] == nothing
    assert chat(service.url, "a/b")[0] == 200


def test_a_weight_is_set_and_goes_back_to_the_announced_one(start: Start) -> None:
    service = start(engine=("echo=a/b",))
    where = f"{admin(service)}/instances/chat/a%2Fb/%23static:weight"
    assert change(where, {"weight": 0.5})[1]["after"]["weight"] == 0.5
    assert shown(service)["weight"] == 0.5
    assert change(where, {"weight": None})[1]["before"]["weight"] == 0.5
    assert shown(service)["weight"] == 1.0


@pytest.mark.parametrize("body", [{}, {"weight": 0}, {"weight": -1}, {"weight": "x"}, {"wait": 1}])
def test_a_weight_that_is_none_is_refused(start: Start, body: Any) -> None:
    where = f"{admin(start(engine=('echo=a/b',)))}/instances/chat/a%2Fb/%23static:weight"
    status, answer = change(where, body)
    assert (status, answer["error"]["type"]) == (400, "invalid_request_error")


def test_an_ejected_instance_is_asked_where_no_other_is_left(start: Start) -> None:
    service = start(engine=("echo=a/b",))
    where = f"{admin(service)}/instances/chat/a%2Fb/%23static"
    assert change(f"{where}:eject")[1]["after"]["ejected"] is True
    assert shown(service)["state"] == "ejected"
    assert chat(service.url, "a/b")[0] == 200
    assert change(f"{where}:readmit")[1]["after"]["ejected"] is False
    assert shown(service)["state"] == "starting"


@pytest.mark.parametrize(
    "path",
    [
        "instances/chat/a%2Fb/nope:drain",
        "instances/chat/nope/%23static:drain",
        "instances/nope/a%2Fb/%23static:drain",
        "instances/chat/a%2Fb/%23static:explode",
        "instances/chat/a%2Fb/%23static",
        "instances/chat/a/b/%23static:drain",
        "tree/nope:restart",
        "tree/registry/nope:restart",
        "tree/registry:explode",
        "tree/:restart",
    ],
)
def test_what_is_not_there_is_not_found(start: Start, path: str) -> None:
    assert change(f"{admin(start(engine=('echo=a/b',)))}/{path}")[0] == 404


def test_a_child_is_restarted(start: Start) -> None:
    service = start()
    status, answer = change(f"{admin(service)}/tree/serving%2Fhttp:restart")
    assert (status, answer["after"]) == (200, {"state": "up", "restarts": 1})
    assert chat(service.url, "echo")[0] == 200


def test_a_child_is_killed_by_whoever_repeats_its_path(start: Start) -> None:
    service = start()
    address = service.tree.address("serving/http")
    url = f"{admin(service)}/tree/serving%2Fhttp:kill"
    status, answer = change(url, {"confirm": "serving"})
    assert (status, answer["error"]["param"], address.epoch) == (400, "confirm", 1)
    assert change(url, {"confirm": "serving/http"})[0] == 200
    eventually(lambda: address.epoch == 2, 10, "it was started again")
    assert chat(service.url, "echo")[0] == 200
    texts = [each["text"] for each in events(service, "tree") if each["subject"] == "serving/http"]
    assert texts[-1] == "started again: its life number 2"


@pytest.mark.usefixtures("level")
def test_the_log_level_is_set(start: Start) -> None:
    service = start()
    assert change(f"{admin(service)}/log-level", {"level": "error"})[1]["after"] == {
        "level": "error"
    }
    assert logging.getLogger().level == logging.ERROR
    assert change(f"{admin(service)}/log-level", {"level": "loud"})[0] == 400


def test_the_service_drains_once_that_is_confirmed(start: Start) -> None:
    service = start()
    assert change(f"{admin(service)}/service:drain")[0] == 400
    status, answer = change(f"{admin(service)}/service:drain", {"confirm": "drain"})
    assert (status, answer["after"]) == (200, {"draining": True})
    assert read(f"{service.url}/ready")[0] == 503


def test_each_change_is_one_event_and_one_line(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    service = start(engine=("echo=a/b",))
    caplog.set_level(logging.INFO, "http_service.audit")
    change(f"{admin(service)}/instances/chat/a%2Fb/%23static:drain")
    change(f"{admin(service)}/instances/chat/a%2Fb/nope:drain")
    done, refused = events(service, "admin")
    assert (done["by"], done["before"]["drained"], done["after"]["drained"]) == (
        "anyone on this machine",
        False,
        True,
    )
    assert (refused["level"], refused["text"].rpartition(": ")[2]) == ("warning", "refused (404)")
    lines = [each for each in caplog.records if each.name == "http_service.audit"]
    assert [each.levelno for each in lines] == [logging.INFO, logging.WARNING]
