"""``drain``, ``undrain``, ``eject``, ``readmit``, ``weight``: what is sent, waited for and told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from actors.cli.operate import wait_idle
from tests.cli.admin_server import AdminServer, instance, model
from tests.support.callboard import run_to_end

NAME = "team/llama 3%".replace(" ", "-")
PATH = f"models/{NAME.replace('%', '%25').replace('/', '%2F')}"
CHANGED = {
    "before": {"drained": False, "ejected": False, "weight": None},
    "after": {"drained": True, "ejected": False, "weight": 0.5},
}


@pytest.fixture
def server() -> Iterator[AdminServer]:
    both = model(NAME, instance("gpu-1"), instance("gpu#2", kind="completions"))
    with AdminServer({PATH: both}) as found:
        found.answer = lambda _path, _body: CHANGED
        yield found


def posted(server: AdminServer) -> list[tuple[str, Any]]:
    return [server.posted.get_nowait() for _ in range(server.posted.qsize())]


@pytest.mark.parametrize("verb", ["drain", "undrain", "eject", "readmit"])
def test_all_instances_of_a_model_are_changed(server: AdminServer, verb: str) -> None:
    done = run_to_end(verb, NAME, "--admin-url", server.url)
    assert done.returncode == 0
    model_part = "team%2Fllama-3%25"
    assert posted(server) == [
        (f"instances/chat/{model_part}/gpu-1:{verb}", {}),
        (f"instances/completions/{model_part}/gpu%232:{verb}", {}),
    ]
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0] == ["MODEL", "KIND", "INSTANCE", "BEFORE", "AFTER"]
    assert rows[1] == [NAME, "chat", "gpu-1", "as", "announced", "drained,", "weight", "0.5"]


def test_one_instance_is_named_behind_the_first_hash(server: AdminServer) -> None:
    done = run_to_end("drain", f"{NAME}#gpu#2", "--everywhere", "--admin-url", server.url)
    assert done.returncode == 0
    ((path, body),) = posted(server)
    assert path.endswith("/gpu%232:drain")
    assert body == {"everywhere": True}


def test_a_weight_is_a_number_or_the_announced_one(server: AdminServer) -> None:
    for text, sent in (("0.5", 0.5), ("announced", None)):
        done = run_to_end("weight", f"{NAME}#gpu-1", text, "--admin-url", server.url)
        assert done.returncode == 0
        ((path, body),) = posted(server)
        assert path.endswith("/gpu-1:weight")
        assert body == {"weight": sent}


def test_the_answer_can_be_read_by_programs(server: AdminServer) -> None:
    done = run_to_end("drain", f"{NAME}#gpu-1", "--output", "json", "--admin-url", server.url)
    (changed,) = json.loads(done.stdout)["changed"]
    assert changed == {"kind": "chat", "model": NAME, "instance": "gpu-1", **CHANGED}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("drain", "nope"), 1, "there is no models/nope"),
        (("drain", f"{NAME}#gpu-9"), 1, "has no instance 'gpu-9': there are gpu-1, gpu#2"),
        (("drain",), 2, "drain needs a MODEL[#INSTANCE]"),
        (("drain", "m#"), 2, "names no instance"),
        (("weight", "m"), 2, "weight needs a WEIGHT"),
        (("weight", "m", "-1"), 2, "'-1' is not a weight"),
        (("weight", "m", "heavy"), 2, "'heavy' is not a weight"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_changes_nothing(
    server: AdminServer, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = run_to_end(*arguments, environment={"CALLBOARD_ADMIN_URL": server.url})
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert posted(server) == []


def test_wait_returns_when_nothing_is_in_flight(server: AdminServer) -> None:
    done = run_to_end("drain", NAME, "--wait", "--admin-url", server.url)
    assert done.returncode == 0
    assert "nothing is in flight" in done.stdout


def test_wait_gives_up_after_its_timeout_with_exit_code_1(server: AdminServer) -> None:
    server.documents[PATH] = model(NAME, instance("gpu-1", inflight=3))
    done = run_to_end("drain", NAME, "--wait", "--timeout", "0", "--admin-url", server.url)
    assert done.returncode == 1
    assert "3 still in flight after 0 s" in done.stderr


def test_waiting_looks_again_until_it_is_idle() -> None:
    left = [3, 2, 0]
    pauses: list[float] = []
    assert wait_idle(lambda: left.pop(0), 60.0, pauses.append) == 0
    assert len(pauses) == 2
